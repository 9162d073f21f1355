// use: step, flat, settings, mix

// select: which rows of the data set make up the batch.
//
//     out[r] = list[offset + permutation(begin + r)]          r < step.rows
//
// out: words of each replica; list: words, shared (list_stride 0) or of each replica; settings: words of each replica, the first is the seed.
// The permutation of 0..len is a four-round Feistel network on 2h bits (4^h >= len), walked until the value is below
// len; without SHUFFLE it is the identity. One invocation a row. Bytes moved: 8 a row.

struct Params {
    out_stride: u32,
    offset: u32,
    len: u32,
    settings_stride: u32,
    list_stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> list: array<u32>;
@group(0) @binding(3) var<storage, read> settings: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

override SHUFFLE: u32 = 1u;

fn permute(i: u32, len: u32, seed: u32, epoch: u32) -> u32 {
    var half = 1u;
    while half < 16u && (1u << (2u * half)) < len {
        half += 1u;
    }
    let mask = (1u << half) - 1u;
    let key = mix_word(seed ^ mix_word(epoch + 0x9e3779b9u));
    var value = i;
    loop {
        var left = value >> half;
        var right = value & mask;
        for (var round = 0u; round < 4u; round++) {
            let mixed = left ^ (mix_word(right ^ mix_word(key + round)) & mask);
            left = right;
            right = mixed;
        }
        value = (left << half) | right;
        if value < len {
            break;
        }
    }
    return value;
}

@compute @workgroup_size(WORKGROUP)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let r = flat(here, groups);
    if r >= now.rows {
        return;
    }
    var i = now.begin + r;
    if SHUFFLE != 0u {
        i = permute(i, p.len, setting_word(here.group.z, SEED), now.epoch);
    }
    out[here.group.z * p.out_stride + r] = list[here.group.z * p.list_stride + p.offset + i];
}
