// use: step, view, plane

// add: out[r, c] = a[r, c] + b[r, c]          r < step.rows * SEEDS
//
// Workgroups of 8 vec4s by 8 rows. Bytes moved: 32 in, 16 out, a vec4.

struct Params {
    a: View,
    b: View,
    out: View,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        if 4u * quad < p.out.cols {
            value = a[at(p.a, here.group.z, r, quad)] + b[at(p.b, here.group.z, r, quad)];
        }
        out[at(p.out, here.group.z, r, quad)] = keep(value, quad, p.out.cols);
    }
}
