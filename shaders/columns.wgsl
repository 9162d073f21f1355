// use: step, view, plane

// columns: matrices side by side, and a part of a matrix's columns.
//
//     concat:  out[r, c] = a[r, c] for c < a.cols, else b[r, c - a.cols]          r < step.rows * SEEDS
//     slice:   out[r, c] = a[r, first + c]                                         r < step.rows * SEEDS
//
// Workgroups of 8 vec4s by 8 rows; the sources are read a number at a time, since parts begin anywhere. Bytes moved: 16 in,
// 16 out, a vec4.

struct Params {
    a: View,
    b: View,
    out: View,
    first: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn concat(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            let c = 4u * quad + i;
            if c < p.a.cols {
                value[i] = a[element(p.a, here.group.z, r, c)];
            } else if c < p.out.cols {
                value[i] = b[element(p.b, here.group.z, r, c - p.a.cols)];
            }
        }
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}

@compute @workgroup_size(8, 8)
fn slice(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            // The last quad may reach beyond the source: clamped, and cleared by keep.
            let c = min(p.first + 4u * quad + i, p.a.ld - 1u);
            value[i] = a[element(p.a, here.group.z, r, c)];
        }
        out[at(p.out, here.group.z, r, quad)] = keep(value, quad, p.out.cols);
    }
}
