// use: step, view, total

// reduce: sums the per-sample statistics of a batch.
//
//     results[8 * index + q] = sum over r < step.rows of stats[r, q]          q < 4; index: of the step
//
// One workgroup a replica; an invocation takes every WORKGROUP-th row, then a binary tree: a fixed order.
// Bytes moved: 16 a row.

struct Params {
    stats: View,
    results_stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> stats: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> results: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(here: Invocation) {
    let base = here.group.z * p.stats.stride + p.stats.offset;
    var sum = vec4<f32>(0.0);
    for (var r = here.index; r < now.rows; r += WORKGROUP) {
        sum += stats[(base + r * p.stats.ld) / 4u];
    }
    sum = total(here.index, sum);
    if here.index == 0u {
        results[here.group.z * (p.results_stride / 4u) + 2u * now.index] = sum;
    }
}
