// expand: out[b * SEEDS + j, i] = left[b, j] * W[j, i] * right[b, i]          b < step.rows, j < SEEDS
//
//     WEIGHT 0: W is the identity; SPECTRAL: W[j, i] = (lambda_in[i] - lambda_out[j]) * psi[j, i], built while loading.
//     LEFT 0, RIGHT 0: all ones. The weight and the eigenvalues lie in one buffer.
//
// The first product of a Jacobian, whose left factor is a diagonal matrix. Workgroups of 8 vec4s by 8 rows. Bytes moved: 16
// out a vec4; the weight's come from a cache after the first sample.

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
    left: View,
    weight: View,
    lambda_in: View,
    lambda_out: View,
    right: View,
    out: View,
}

@group(0) @binding(0) var<uniform> now: Step;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> left: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> right: array<vec4<f32>>;

override SEEDS: u32 = 1u;
override LEFT: u32 = 0u;
override WEIGHT: u32 = 0u;
override SPECTRAL: u32 = 0u;
override RIGHT: u32 = 0u;

// Index of the vec4 at row r, column 4 * quad.
fn at(v: View, replica: u32, r: u32, quad: u32) -> u32 {
    return (replica * v.stride + v.offset + r * v.ld) / 4u + quad;
}

// Zero in the padding columns.
fn keep(value: vec4<f32>, quad: u32, cols: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(cols));
}

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let quads = p.out.ld / 4u;
    let quad = group.x * 8u + local.x;
    let rows = select(0u, now.rows * SEEDS, quad < quads);
    for (var r = group.y * 8u + local.y; r < rows; r += 8u * groups.y) {
        let b = r / SEEDS;
        let j = r % SEEDS;
        var value = select(vec4<f32>(0.0), vec4<f32>(1.0), vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(j));
        if WEIGHT == 1u {
            value = weight[at(p.weight, group.z, j, quad)];
        }
        if SPECTRAL == 1u {
            value *= weight[at(p.lambda_in, group.z, 0u, quad)] - weight[at(p.lambda_out, group.z, 0u, j / 4u)][j % 4u];
        }
        if LEFT == 1u {
            value *= left[at(p.left, group.z, b, j / 4u)][j % 4u];
        }
        if RIGHT == 1u {
            value *= right[at(p.right, group.z, b, quad)];
        }
        out[at(p.out, group.z, r, quad)] = keep(value, quad, p.out.cols);
    }
}
