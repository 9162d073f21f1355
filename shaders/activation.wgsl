// use: step, view, plane, activations

// activation: y = activation(x), and dx = dy * slope.
//
//     activate:           y[r, c] = activation(x[r, c])                       r < step.rows
//     activate_backward:  dx[r, c] = dy[r, c] * slope(saved[r / SEEDS, c])     r < step.rows * SEEDS
//
// Workgroups of 8 vec4s by 8 rows. Bytes moved: 16 in (32 backward), 16 out, a vec4.

struct Params {
    x: View,
    saved: View,
    y: View,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> saved: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn activate(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.y); r < now.rows; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        if 4u * quad < p.x.cols {
            value = keep(activate4(x[at(p.x, here.group.z, r, quad)]), quad, p.x.cols);
        }
        y[at(p.y, here.group.z, r, quad)] = value;
    }
}

@compute @workgroup_size(8, 8)
fn activate_backward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.y); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        if 4u * quad < p.x.cols {
            let slope = slope4(saved[at(p.saved, here.group.z, r / SEEDS, quad)]);
            value = keep(x[at(p.x, here.group.z, r, quad)] * slope, quad, p.x.cols);
        }
        y[at(p.y, here.group.z, r, quad)] = value;
    }
}
