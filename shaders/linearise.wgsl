// linearise: slopes S and intercepts q of elementwise nodes, out = S * in + q at this batch of inputs.
//
//     activation:  S = activation'(z), or with SECANT (y - y0) / z (the slope at 0 where |z| < 1e-3), y0 = activation(0);
//                  q = y - S * z                                              x holds z, y holds activation(z)
//     batch_norm:  S = gamma / sqrt(var + epsilon), q = beta - mean * S       x holds gamma and beta, y mean and var
//
// Rows r < step.rows. Workgroups of 8 vec4s by 8 rows. Bytes moved: 32 in, 32 out, a vec4.

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
    x: View,
    y: View,
    slope: View,
    intercept: View,
    gamma: View,
    beta: View,
    running: View,
    epsilon: f32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(0) var<uniform> now: Step;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> slope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> intercept: array<vec4<f32>>;

override SECANT: u32 = 0u;

// --- slope (the same text in every shader that has it) ---
override SLOPE: u32 = 0u;

fn erf4(x: vec4<f32>) -> vec4<f32> {
    // Abramowitz & Stegun 7.1.26: |error| < 1.5e-7.
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(x) * (1.0 - poly * exp(-x * x));
}

// The derivative, from z for GELU (6) and SiLU (7), from y = activation(z) for the others; 8: y is the slope itself.
fn slope4(y: vec4<f32>) -> vec4<f32> {
    switch SLOPE {
        case 1u: { return select(vec4<f32>(1.0), vec4<f32>(0.0), y <= vec4<f32>(0.0)); }
        case 2u: { return select(vec4<f32>(1.0), vec4<f32>(0.01), y <= vec4<f32>(0.0)); }
        case 3u: { return 1.0 - y * y; }
        case 4u: { return y * (1.0 - y); }
        case 5u: { return select(vec4<f32>(1.0), y + 1.0, y <= vec4<f32>(0.0)); }
        case 6u: {
            return 0.5 * (1.0 + erf4(y * 0.70710678)) + y * 0.39894228 * exp(-0.5 * y * y);
        }
        case 7u: {
            let s = 1.0 / (1.0 + exp(-y));
            return s * (1.0 + y * (1.0 - s));
        }
        case 8u: { return y; }
        default: { return vec4<f32>(1.0); }
    }
}
// --- end of slope ---

// Index of the vec4 at row r, column 4 * quad.
fn at(v: View, replica: u32, r: u32, quad: u32) -> u32 {
    return (replica * v.stride + v.offset + r * v.ld) / 4u + quad;
}

// Zero in the padding columns.
fn keep(value: vec4<f32>, quad: u32, cols: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(cols));
}

@compute @workgroup_size(8, 8)
fn activation(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let quads = p.slope.ld / 4u;
    let quad = group.x * 8u + local.x;
    let rows = select(0u, now.rows, quad < quads);
    for (var r = group.y * 8u + local.y; r < rows; r += 8u * groups.y) {
        let z = x[at(p.x, group.z, r, quad)];
        let value = y[at(p.y, group.z, r, quad)];
        // GELU and SiLU have their slope from z, the others from activation(z).
        var s = slope4(select(value, z, SLOPE >= 6u));
        if SECANT == 1u {
            // activation(0) is 1/2 for the sigmoid, 0 for the others.
            let zero = vec4<f32>(select(0.0, 0.5, SLOPE == 4u));
            let near = abs(z) < vec4<f32>(1e-3);
            // At 0 an ELU takes the slope of its negative side, as the tangent does.
            s = select((value - zero) / select(z, vec4<f32>(1.0), near), slope4(zero), near);
        }
        slope[at(p.slope, group.z, r, quad)] = keep(s, quad, p.slope.cols);
        intercept[at(p.intercept, group.z, r, quad)] = keep(value - s * z, quad, p.slope.cols);
    }
}

@compute @workgroup_size(8, 8)
fn batch_norm(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let quads = p.slope.ld / 4u;
    let quad = group.x * 8u + local.x;
    let rows = select(0u, now.rows, quad < quads);
    for (var r = group.y * 8u + local.y; r < rows; r += 8u * groups.y) {
        let deviation = sqrt(y[at(p.running, group.z, 1u, quad)] + p.epsilon);
        let s = x[at(p.gamma, group.z, 0u, quad)] / deviation;
        let q = x[at(p.beta, group.z, 0u, quad)] - y[at(p.running, group.z, 0u, quad)] * s;
        slope[at(p.slope, group.z, r, quad)] = keep(s, quad, p.slope.cols);
        intercept[at(p.intercept, group.z, r, quad)] = keep(q, quad, p.slope.cols);
    }
}
