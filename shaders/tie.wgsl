// use: step, view, flat

// tie: every column of a group receives the mean of its group, in place, in a row vector.
//
//     x[0, c] = (1 / |g|) * sum over the columns of c's group g of x[0, .]
//
// members: words, shared: where each group begins (groups + 1 numbers), then the groups' columns. One invocation a group; the
// sum runs in the order of its columns. Bytes moved: 8 in, 4 out, a column of a group.

struct Params {
    x: View,
    groups: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> members: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let g = flat(here, groups);
    if g >= p.groups {
        return;
    }
    let base = here.group.z * p.x.stride + p.x.offset;
    let first = p.groups + 1u;
    let begin = members[g];
    let end = members[g + 1u];
    var sum = 0.0;
    for (var i = begin; i < end; i++) {
        sum += x[base + members[first + i]];
    }
    let mean = sum / f32(max(end - begin, 1u));
    for (var i = begin; i < end; i++) {
        x[base + members[first + i]] = mean;
    }
}
