// activation: y = activation(x), and dx = dy * slope.
//
//     activate:           y[r, c] = activation(x[r, c])                       r < step.rows
//     activate_backward:  dx[r, c] = dy[r, c] * slope(saved[r / SEEDS, c])     r < step.rows * SEEDS
//
// Workgroups of 8 vec4s by 8 rows. Bytes moved: 16 in (32 backward), 16 out, a vec4.

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
    saved: View,
    y: View,
}

@group(0) @binding(0) var<uniform> now: Step;
@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> saved: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

override SEEDS: u32 = 1u;

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

// --- activation (the same text in every shader that has it) ---
override ACTIVATION: u32 = 0u;

// Written out: the built-in tanh of some drivers clamps its argument, and so hides a NaN.
fn tanh4(x: vec4<f32>) -> vec4<f32> {
    let t = exp(-2.0 * abs(x));
    let large = sign(x) * (1.0 - t) / (1.0 + t);
    let q = x * x;
    let small = x * (1.0 + q * (-0.33333333 + q * (0.13333333 + q * (-0.053968254 + q * 0.021869488))));
    return select(large, small, abs(x) < vec4<f32>(0.2));
}

fn expm4(x: vec4<f32>) -> vec4<f32> {
    let small = x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666667 + x * 0.0083333333))));
    return select(exp(x) - 1.0, small, abs(x) < vec4<f32>(0.1));
}

fn activate4(z: vec4<f32>) -> vec4<f32> {
    switch ACTIVATION {
        // Comparisons, not max(): a NaN stays one.
        case 1u: { return select(z, vec4<f32>(0.0), z <= vec4<f32>(0.0)); }
        case 2u: { return select(z, 0.01 * z, z <= vec4<f32>(0.0)); }
        case 3u: { return tanh4(z); }
        case 4u: { return 1.0 / (1.0 + exp(-z)); }
        case 5u: { return select(z, expm4(z), z <= vec4<f32>(0.0)); }
        case 6u: { return z * 0.5 * (1.0 + erf4(z * 0.70710678)); }
        case 7u: { return z / (1.0 + exp(-z)); }
        default: { return z; }
    }
}
// --- end of activation ---

// Index of the vec4 at row r, column 4 * quad.
fn at(v: View, replica: u32, r: u32, quad: u32) -> u32 {
    return (replica * v.stride + v.offset + r * v.ld) / 4u + quad;
}

// Zero in the padding columns.
fn keep(value: vec4<f32>, quad: u32, cols: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(cols));
}

@compute @workgroup_size(8, 8)
fn activate(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let quads = p.y.ld / 4u;
    let quad = group.x * 8u + local.x;
    let rows = select(0u, now.rows, quad < quads);
    for (var r = group.y * 8u + local.y; r < rows; r += 8u * groups.y) {
        var value = vec4<f32>(0.0);
        if 4u * quad < p.x.cols {
            value = keep(activate4(x[at(p.x, group.z, r, quad)]), quad, p.x.cols);
        }
        y[at(p.y, group.z, r, quad)] = value;
    }
}

@compute @workgroup_size(8, 8)
fn activate_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let quads = p.y.ld / 4u;
    let quad = group.x * 8u + local.x;
    let rows = select(0u, now.rows * SEEDS, quad < quads);
    for (var r = group.y * 8u + local.y; r < rows; r += 8u * groups.y) {
        var value = vec4<f32>(0.0);
        if 4u * quad < p.x.cols {
            let slope = slope4(saved[at(p.saved, group.z, r / SEEDS, quad)]);
            value = keep(x[at(p.x, group.z, r, quad)] * slope, quad, p.x.cols);
        }
        y[at(p.y, group.z, r, quad)] = value;
    }
}
