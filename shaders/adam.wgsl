// use: step, flat, settings, tiny

// adam: one step of Adam with the penalties' gradients in it.
//
//     g = gradient + 2 * r * p          (r: r_psi in the psi range, r_lambda in the lambda range, else 0)
//     m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2;  p = p - rate * factor * m / (sqrt(v) + epsilon)
//
// rate: of the step, bias corrections included; factor: of the replica. |p|, |m|, v below 1e-30 become 0, so that dropped
// columns never reach denormal numbers. Elements 0..trainable of each replica without skip_begin..skip_end. One invocation a vec4.
// Bytes moved: 64 in, 48 out, an invocation.

struct Params {
    psi_begin: u32,
    psi_end: u32,
    lambda_begin: u32,
    lambda_end: u32,
    trainable: u32,
    settings_stride: u32,
    parameters_stride: u32,
    gradient_stride: u32,
    m_stride: u32,
    v_stride: u32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    skip_begin: u32,
    skip_end: u32,
    pad0: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> settings: array<u32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = flat(here, groups);
    let i = 4u * quad;
    if i >= p.trainable || (i >= p.skip_begin && i < p.skip_end) {
        return;
    }
    let r_lambda = setting(here.group.z, REG_LAMBDA);
    let r_psi = setting(here.group.z, REG_PSI);
    let factor = setting(here.group.z, RATE);
    let in_psi = i >= p.psi_begin && i < p.psi_end;
    let in_lambda = i >= p.lambda_begin && i < p.lambda_end;
    let strength = select(0.0, r_psi, in_psi) + select(0.0, r_lambda, in_lambda);

    let at_parameter = here.group.z * (p.parameters_stride / 4u) + quad;
    let at_m = here.group.z * (p.m_stride / 4u) + quad;
    let at_v = here.group.z * (p.v_stride / 4u) + quad;
    let old = parameters[at_parameter];
    let g = gradient[here.group.z * (p.gradient_stride / 4u) + quad] + 2.0 * strength * old;
    let first = without_tiny4(p.beta1 * m[at_m] + (1.0 - p.beta1) * g);
    let second = without_tiny4(p.beta2 * v[at_v] + (1.0 - p.beta2) * g * g);
    m[at_m] = first;
    v[at_v] = second;
    let moved = now.rate * factor * first / (sqrt(second) + p.epsilon);
    parameters[at_parameter] = without_tiny4(old - moved);
}
