// reduce: sums the per-sample statistics of a batch.
//
//     results[8 * index + q] = sum over r < step.rows of stats[r, q]          q < 4; index: of the step
//
// One workgroup a replica; an invocation takes every WORKGROUP-th row, then a binary tree: a fixed order.
// Bytes moved: 16 a row.

struct Step {
    index: u32,
    rows: u32,
    begin: u32,
    epoch: u32,
    count: u32,
    rate: f32,
    ordering: u32,
    kept: u32,
}

// A matrix of each replica: element (r, c) is at replica * stride + offset + r * ld + c.
struct View {
    offset: u32,
    stride: u32,
    cols: u32,
    ld: u32,
}

struct Params {
    stats: View,
    results_stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> now: Step;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> stats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> results: array<vec4<f32>>;

// A power of two.
override WORKGROUP: u32 = 64u;

var<workgroup> partial: array<vec4<f32>, 256>;

// The sum of every invocation's value, in a fixed order; all of them receive it.
fn total(local: u32, value: vec4<f32>) -> vec4<f32> {
    partial[local] = value;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if local < half {
            partial[local] += partial[local + half];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let base = group.z * p.stats.stride + p.stats.offset;
    var sum = vec4<f32>(0.0);
    for (var r = local; r < now.rows; r += WORKGROUP) {
        sum += stats[(base + r * p.stats.ld) / 4u];
    }
    sum = total(local, sum);
    if local == 0u {
        results[group.z * (p.results_stride / 4u) + 2u * now.index] = sum;
    }
}
