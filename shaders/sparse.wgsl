// use: step, view, plane

// sparse: a fixed sparse matrix times every row.
//
//     out[r, j] = sum over t in begin[j] .. begin[j + 1] of weight[t] * x[r, column[t]]          r < step.rows * SEEDS
//
// index holds begin, one more than out has columns, then the columns. Terms in order, so sums are the same in every run.
// Workgroups of 8 vec4s by 8 rows. Bytes moved: 4 (8 with weights) of the matrix and 4 of x a term, 16 out a vec4.

struct Params {
    x: View,
    out: View,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> index: array<u32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

override WEIGHTS: u32 = 0u;

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    let columns = p.out.cols + 1u;
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            let j = 4u * quad + i;
            if j >= p.out.cols {
                break;
            }
            var sum = 0.0;
            for (var t = index[j]; t < index[j + 1u]; t += 1u) {
                var term = x[element(p.x, here.group.z, r, index[columns + t])];
                if WEIGHTS != 0u {
                    term *= weights[t];
                }
                sum += term;
            }
            value[i] = sum;
        }
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}
