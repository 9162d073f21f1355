// use: step, view, flat, settings, tiny

// proximal: one step of a group lasso on a weight W: [M, N], in place.
//
//     v = momentum * v + (1 - momentum) * gradient;  w = w - eta * v
//     w[:, g] = w[:, g] * max(0, 1 - eta * kappa * sqrt(|g|) / ||w[:, g]||)       for every unit g of columns
//
// eta = rate * the step's rate * the replica's factor; kappa = 2 * sqrt(r_lambda * r_psi) of the replica. members: words, shared:
// where each unit begins (units + 1 numbers), then the units' columns. |w|, |v| below 1e-30 become 0.
// One invocation a unit. Bytes moved: 20 in, 12 out, an element.

struct Params {
    weight: View,
    gradient: View,
    velocity: View,
    rows: u32,
    units: u32,
    settings_stride: u32,
    rate: f32,
    momentum: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> members: array<u32>;
@group(0) @binding(3) var<storage, read> settings: array<u32>;
@group(0) @binding(4) var<storage, read> gradient: array<f32>;
@group(0) @binding(5) var<storage, read_write> weight: array<f32>;
@group(0) @binding(6) var<storage, read_write> velocity: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let unit = flat(here, groups);
    if unit >= p.units {
        return;
    }
    let kappa = 2.0 * sqrt(setting(here.group.z, REG_LAMBDA) * setting(here.group.z, REG_PSI));
    let eta = p.rate * now.rate * setting(here.group.z, RATE);
    let begin = members[unit];
    let end = members[unit + 1u];
    let columns = p.units + 1u;
    let at_weight = here.group.z * p.weight.stride + p.weight.offset;
    let at_gradient = here.group.z * p.gradient.stride + p.gradient.offset;
    let at_velocity = here.group.z * p.velocity.stride + p.velocity.offset;
    var squares = 0.0;
    for (var i = begin; i < end; i++) {
        let c = members[columns + i];
        for (var r = 0u; r < p.rows; r++) {
            let g = gradient[at_gradient + r * p.gradient.ld + c];
            let v = without_tiny(p.momentum * velocity[at_velocity + r * p.velocity.ld + c] + (1.0 - p.momentum) * g);
            velocity[at_velocity + r * p.velocity.ld + c] = v;
            let w = weight[at_weight + r * p.weight.ld + c] - eta * v;
            weight[at_weight + r * p.weight.ld + c] = w;
            squares += w * w;
        }
    }
    let norm = sqrt(squares);
    let threshold = eta * kappa * sqrt(f32(end - begin));
    let factor = select(1.0 - threshold / norm, 0.0, norm <= threshold);
    for (var i = begin; i < end; i++) {
        let c = members[columns + i];
        for (var r = 0u; r < p.rows; r++) {
            let at = at_weight + r * p.weight.ld + c;
            weight[at] = without_tiny(weight[at] * factor);
        }
    }
}
