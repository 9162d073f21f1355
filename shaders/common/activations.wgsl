// The activations: value, slope, value at zero, each said here once. Their twins stand in kernels/twins/activation.rs.
const IDENTITY: u32 = 0u;
const RELU: u32 = 1u;
const LEAKY_RELU: u32 = 2u;
const TANH: u32 = 3u;
const SIGMOID: u32 = 4u;
const ELU: u32 = 5u;
const GELU: u32 = 6u;
const SILU: u32 = 7u;
// As SLOPE: what was saved is the slope itself.
const GIVEN: u32 = 255u;
override ACTIVATION: u32 = 0u;
override SLOPE: u32 = 0u;

fn erf4(x: vec4<f32>) -> vec4<f32> {
    // Abramowitz & Stegun 7.1.26: |error| < 1.5e-7.
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(x) * (1.0 - poly * exp(-x * x));
}

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
        case RELU: { return select(z, vec4<f32>(0.0), z <= vec4<f32>(0.0)); }
        case LEAKY_RELU: { return select(z, 0.01 * z, z <= vec4<f32>(0.0)); }
        case TANH: { return tanh4(z); }
        case SIGMOID: { return 1.0 / (1.0 + exp(-z)); }
        case ELU: { return select(z, expm4(z), z <= vec4<f32>(0.0)); }
        case GELU: { return z * 0.5 * (1.0 + erf4(z * 0.70710678)); }
        case SILU: { return z / (1.0 + exp(-z)); }
        default: { return z; }
    }
}

// The slope of SLOPE, read from what a forward pass saved: see saved4.
fn slope4(y: vec4<f32>) -> vec4<f32> {
    switch SLOPE {
        case RELU: { return select(vec4<f32>(1.0), vec4<f32>(0.0), y <= vec4<f32>(0.0)); }
        case LEAKY_RELU: { return select(vec4<f32>(1.0), vec4<f32>(0.01), y <= vec4<f32>(0.0)); }
        case TANH: { return 1.0 - y * y; }
        case SIGMOID: { return y * (1.0 - y); }
        case ELU: { return select(vec4<f32>(1.0), y + 1.0, y <= vec4<f32>(0.0)); }
        case GELU: {
            return 0.5 * (1.0 + erf4(y * 0.70710678)) + y * 0.39894228 * exp(-0.5 * y * y);
        }
        case SILU: {
            let s = 1.0 / (1.0 + exp(-y));
            return s * (1.0 + y * (1.0 - s));
        }
        case GIVEN: { return y; }
        default: { return vec4<f32>(1.0); }
    }
}

// What slope4 reads: z for GELU and SiLU, y = activation(z) for the others.
fn saved4(z: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    return select(y, z, SLOPE == GELU || SLOPE == SILU);
}

// activation(0) of SLOPE.
fn zero4() -> vec4<f32> {
    return vec4<f32>(select(0.0, 0.5, SLOPE == SIGMOID));
}

// The slope of the straight line through (0, activation(0)) and (z, y), or near 0 the slope there (SpecXAI, eq. 14); an ELU's
// is that of its negative side, as the tangent's.
fn secant4(z: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let near = abs(z) < vec4<f32>(1e-3);
    return select((y - zero4()) / select(z, vec4<f32>(1.0), near), slope4(zero4()), near);
}
