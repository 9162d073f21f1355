// use: step, view, plane

// expand: out[b * SEEDS + j, i] = left[b, j] * W[j, i] * right[b, i]          b < step.rows, j < SEEDS
//
//     WEIGHT 0: W is the identity; SPECTRAL: W[j, i] = (lambda_in[i] - lambda_out[j]) * psi[j, i], built while loading.
//     LEFT 0, RIGHT 0: all ones. The weight and the eigenvalues lie in one buffer.
//
// The first product of a Jacobian, whose left factor is a diagonal matrix. Workgroups of 8 vec4s by 8 rows. Bytes moved: 16
// out a vec4; the weight's come from a cache after the first sample.

struct Params {
    left: View,
    weight: View,
    lambda_in: View,
    lambda_out: View,
    right: View,
    out: View,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> left: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> right: array<vec4<f32>>;

override LEFT: u32 = 0u;
override WEIGHT: u32 = 0u;
override SPECTRAL: u32 = 0u;
override RIGHT: u32 = 0u;

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        let b = r / SEEDS;
        let j = r % SEEDS;
        var value = select(vec4<f32>(0.0), vec4<f32>(1.0), vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) == vec4<u32>(j));
        if WEIGHT == 1u {
            value = weight[at(p.weight, here.group.z, j, quad)];
        }
        if SPECTRAL == 1u {
            value *= weight[at(p.lambda_in, here.group.z, 0u, quad)] - weight[at(p.lambda_out, here.group.z, 0u, j / 4u)][j % 4u];
        }
        if LEFT == 1u {
            value *= left[at(p.left, here.group.z, b, j / 4u)][j % 4u];
        }
        if RIGHT == 1u {
            value *= right[at(p.right, here.group.z, b, quad)];
        }
        out[at(p.out, here.group.z, r, quad)] = keep(value, quad, p.out.cols);
    }
}
