// use: step, view, plane, activations

// linearise: slopes S and intercepts q of elementwise nodes, out = S * in + q at this batch of inputs.
//
//     activation:  S = activation'(z), or with SECANT (y - y0) / z (the slope at 0 where |z| < 1e-3), y0 = activation(0);
//                  q = y - S * z                                              x holds z, y holds activation(z)
//     batch_norm:  S = gamma / sqrt(var + epsilon), q = beta - mean * S       x holds gamma and beta, y mean and var;
//                  `places` elements in a row share them
//
// Rows r < step.rows. Workgroups of 8 vec4s by 8 rows. Bytes moved: 32 in, 32 out, a vec4.

struct Params {
    x: View,
    y: View,
    slope: View,
    intercept: View,
    gamma: View,
    beta: View,
    running: View,
    epsilon: f32,
    places: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> slope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> intercept: array<vec4<f32>>;

override SECANT: u32 = 0u;

@compute @workgroup_size(8, 8)
fn activation(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.slope); r < now.rows; r += row_step(groups)) {
        let z = x[at(p.x, here.group.z, r, quad)];
        let value = y[at(p.y, here.group.z, r, quad)];
        var s = slope4(saved4(z, value));
        if SECANT == 1u {
            s = secant4(z, value);
        }
        slope[at(p.slope, here.group.z, r, quad)] = keep(s, quad, p.slope.cols);
        intercept[at(p.intercept, here.group.z, r, quad)] = keep(value - s * z, quad, p.slope.cols);
    }
}

fn parameter(v: View, replica: u32, channel: u32) -> f32 {
    let index = element(v, replica, 0u, channel);
    return x[index / 4u][index % 4u];
}

fn statistic(v: View, replica: u32, row: u32, channel: u32) -> f32 {
    let index = element(v, replica, row, channel);
    return y[index / 4u][index % 4u];
}

@compute @workgroup_size(8, 8)
fn batch_norm(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.slope); r < now.rows; r += row_step(groups)) {
        var s = vec4<f32>(0.0);
        var q = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            let channel = min((4u * quad + i) / p.places, p.gamma.cols - 1u);
            let deviation = sqrt(statistic(p.running, here.group.z, 1u, channel) + p.epsilon);
            s[i] = parameter(p.gamma, here.group.z, channel) / deviation;
            q[i] = parameter(p.beta, here.group.z, channel) - statistic(p.running, here.group.z, 0u, channel) * s[i];
        }
        slope[at(p.slope, here.group.z, r, quad)] = keep(s, quad, p.slope.cols);
        intercept[at(p.intercept, here.group.z, r, quad)] = keep(q, quad, p.slope.cols);
    }
}
