// use: step, settings, total

// penalty: the value of the L2 penalties, and a check that the parameters are finite.
//
//     results[8 * index + 4 ...] = [r_lambda * sum of lambda^2, r_psi * sum of psi^2, 0 or NaN, 0]
//
// The third is NaN unless every parameter is finite. parameters: `psi | lambda | others` of each replica, as ranges.
// sums: workgroup w of PARTS takes one contiguous part of a replica's parameters and leaves three sums in `scratch`;
// finish: one workgroup a replica adds them up. Binary trees: a fixed order. Bytes moved: 4 a parameter.

struct Params {
    psi_begin: u32,
    psi_end: u32,
    lambda_begin: u32,
    lambda_end: u32,
    len: u32,
    stride: u32,
    settings_stride: u32,
    results_stride: u32,
    // vec4s of a replica that one workgroup takes, and how many workgroups there are.
    part: u32,
    parts: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> sums_of: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> settings: array<u32>;
@group(0) @binding(6) var<storage, read_write> results: array<vec4<f32>>;

fn infinite(exponents: vec4<u32>) -> bool {
    return any(exponents == vec4<u32>(0x7f800000u));
}

@compute @workgroup_size(WORKGROUP)
fn sums(here: Invocation) {
    let begin = here.group.x * p.part;
    let end = min(begin + p.part, p.len / 4u);
    let base = here.group.z * (p.stride / 4u);
    var lambda = 0.0;
    var psi = 0.0;
    var broken = 0.0;
    for (var quad = begin + here.index; quad < end; quad += WORKGROUP) {
        let value = parameters[base + quad];
        let square = dot(value, value);
        let i = 4u * quad;
        // By its bits: a compiler may take 0 * x for 0, and x != x for false.
        let exponents = bitcast<vec4<u32>>(value) & vec4<u32>(0x7f800000u);
        broken += select(0.0, 1.0, infinite(exponents));
        psi += select(0.0, square, i >= p.psi_begin && i < p.psi_end);
        lambda += select(0.0, square, i >= p.lambda_begin && i < p.lambda_end);
    }
    let sum = total(here.index, vec4<f32>(lambda, psi, broken, 0.0));
    if here.index == 0u {
        scratch[here.group.z * p.parts + here.group.x] = sum;
    }
}

@compute @workgroup_size(WORKGROUP)
fn finish(here: Invocation) {
    var sum = vec4<f32>(0.0);
    for (var i = here.index; i < p.parts; i += WORKGROUP) {
        sum += sums_of[here.group.z * p.parts + i];
    }
    sum = total(here.index, sum);
    if here.index == 0u {
        let r_lambda = setting(here.group.z, REG_LAMBDA);
        let r_psi = setting(here.group.z, REG_PSI);
        let finite = bitcast<f32>(select(0u, 0x7fc00000u, sum.z > 0.0));
        let result = vec4<f32>(r_lambda * sum.x, r_psi * sum.y, finite, 0.0);
        results[here.group.z * (p.results_stride / 4u) + 2u * now.index + 1u] = result;
    }
}
