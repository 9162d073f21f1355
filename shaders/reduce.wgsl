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
