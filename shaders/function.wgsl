// use: step, view, plane, activations

// function: y = f(x) with the parameters a and b, and where asked for S = f'(x) and q = f(x) - S * x.
//
//     r < step.rows; the functions: kernels/function.rs
//
// Workgroups of 8 vec4s by 8 rows. Bytes moved: 16 in, 16 to 48 out, a vec4.

struct Params {
    x: View,
    y: View,
    slope: View,
    intercept: View,
    a: f32,
    b: f32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> slope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> intercept: array<vec4<f32>>;

const AFFINE: u32 = 0u;
const LEAKY: u32 = 1u;
const ELU_A: u32 = 2u;
const SELU: u32 = 3u;
const CLIP: u32 = 4u;
const HARD_SIGMOID: u32 = 5u;
const HARD_SWISH: u32 = 6u;
const SOFTPLUS: u32 = 7u;
const SOFTSIGN: u32 = 8u;
const ABS: u32 = 9u;
const ERF: u32 = 10u;
const EXP: u32 = 11u;
const SQRT: u32 = 12u;
const RECIPROCAL: u32 = 13u;
const POWER: u32 = 14u;
const MISH: u32 = 15u;
const LOG_X: u32 = 16u;
const GELU_TANH: u32 = 17u;
const CELU: u32 = 18u;
const SWISH: u32 = 19u;
const THRESHOLDED: u32 = 20u;
const SIN: u32 = 21u;
const COS: u32 = 22u;
override FUNCTION: u32 = 0u;
override SLOPES: u32 = 0u;
override INTERCEPTS: u32 = 0u;

// ln(1 + exp(x)), which neither overflows nor loses what is small.
fn softplus4(x: vec4<f32>) -> vec4<f32> {
    let t = exp(-abs(x));
    // ln(1 + t) by its series where 1 + t would round t away.
    let small = t * (1.0 - t * (0.5 - t * (0.33333333 - 0.25 * t)));
    return max(x, vec4<f32>(0.0)) + select(log(1.0 + t), small, t < vec4<f32>(0.02));
}

fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-x));
}

fn value4(x: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>(0.0);
    let one = vec4<f32>(1.0);
    switch FUNCTION {
        case LEAKY: { return select(x, p.a * x, x <= zero); }
        case ELU_A: { return select(x, p.a * expm4(x), x <= zero); }
        case SELU: { return p.b * select(x, p.a * expm4(x), x <= zero); }
        case CLIP: { return select(select(x, vec4<f32>(p.b), x >= vec4<f32>(p.b)), vec4<f32>(p.a), x <= vec4<f32>(p.a)); }
        case HARD_SIGMOID, HARD_SWISH: {
            let z = p.a * x + p.b;
            let gate = select(select(z, one, z >= one), zero, z <= zero);
            return select(gate, x * gate, vec4<bool>(FUNCTION == HARD_SWISH));
        }
        case SOFTPLUS: { return softplus4(x); }
        case SOFTSIGN: { return x / (1.0 + abs(x)); }
        case ABS: { return abs(x); }
        case ERF: { return erf4(x); }
        case EXP: { return exp(x); }
        case SQRT: { return sqrt(x); }
        case RECIPROCAL: { return 1.0 / x; }
        case POWER: { return pow(x, vec4<f32>(p.a)); }
        case MISH: { return x * tanh4(softplus4(x)); }
        case LOG_X: { return log(x); }
        case GELU_TANH: { return 0.5 * x * (1.0 + tanh4(0.79788456 * (x + 0.044715 * x * x * x))); }
        case CELU: { return select(x, p.a * expm4(x / p.a), x <= zero); }
        case SWISH: { return x * sigmoid4(p.a * x); }
        case THRESHOLDED: { return select(x, zero, x <= vec4<f32>(p.a)); }
        case SIN: { return sin(x); }
        case COS: { return cos(x); }
        default: { return p.a * x + p.b; }
    }
}

fn derivative4(x: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>(0.0);
    let one = vec4<f32>(1.0);
    switch FUNCTION {
        case LEAKY: { return select(one, vec4<f32>(p.a), x <= zero); }
        case ELU_A: { return select(one, p.a * exp(x), x <= zero); }
        case SELU: { return p.b * select(one, p.a * exp(x), x <= zero); }
        case CLIP: { return select(zero, one, x > vec4<f32>(p.a) & x < vec4<f32>(p.b)); }
        case HARD_SIGMOID, HARD_SWISH: {
            let z = p.a * x + p.b;
            let inside = z > zero & z < one;
            let gate = select(select(z, one, z >= one), zero, z <= zero);
            let gate_slope = select(zero, vec4<f32>(p.a), inside);
            return select(gate_slope, gate + x * gate_slope, vec4<bool>(FUNCTION == HARD_SWISH));
        }
        case SOFTPLUS: { return sigmoid4(x); }
        case SOFTSIGN: { let d = 1.0 + abs(x); return 1.0 / (d * d); }
        case ABS: { return sign(x); }
        case ERF: { return 1.1283791671 * exp(-x * x); }
        case EXP: { return exp(x); }
        case SQRT: { return select(0.5 / sqrt(x), zero, x <= zero); }
        case RECIPROCAL: { return -1.0 / (x * x); }
        case POWER: { return p.a * pow(x, vec4<f32>(p.a - 1.0)); }
        case MISH: {
            let t = tanh4(softplus4(x));
            return t + x * (1.0 - t * t) * sigmoid4(x);
        }
        case LOG_X: { return 1.0 / x; }
        case GELU_TANH: {
            let t = tanh4(0.79788456 * (x + 0.044715 * x * x * x));
            return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.79788456 * (1.0 + 0.134145 * x * x);
        }
        case CELU: { return select(one, exp(x / p.a), x <= zero); }
        case SWISH: {
            let gate = sigmoid4(p.a * x);
            return gate + p.a * x * gate * (1.0 - gate);
        }
        case THRESHOLDED: { return select(one, zero, x <= vec4<f32>(p.a)); }
        case SIN: { return cos(x); }
        case COS: { return -sin(x); }
        default: { return vec4<f32>(p.a); }
    }
}

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.y); r < now.rows; r += row_step(groups)) {
        let at_x = x[at(p.x, here.group.z, r, quad)];
        let value = value4(at_x);
        y[at(p.y, here.group.z, r, quad)] = keep(value, quad, p.y.cols);
        if SLOPES != 0u {
            let s = derivative4(at_x);
            slope[at(p.slope, here.group.z, r, quad)] = keep(s, quad, p.y.cols);
            if INTERCEPTS != 0u {
                intercept[at(p.intercept, here.group.z, r, quad)] = keep(value - s * at_x, quad, p.y.cols);
            }
        }
    }
}
