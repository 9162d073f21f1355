// use: step, view, total

// pullback: from the gradient G of a spectral weight to those of psi and of the eigenvalues.
//
//     d_psi[j, i] = (lambda_in[i] - lambda_out[j]) * G[j, i]
//     d_lambda_in[i] = sum over j of psi[j, i] * G[j, i]          d_lambda_out[j] = -sum over i of psi[j, i] * G[j, i]
//
// G, psi: [M, N]. columns: a workgroup takes 4 * LANES columns; SLICES invocations share a column's rows and their sums
// meet in slice order. rows: one workgroup a row j, a binary tree. All orders are fixed. channels: of a convolution, where column i
// is (c, k) and lambda_in belongs to c.
// Bytes moved: columns 32 in, 16 out, a vec4; rows 32 in, a vec4.

struct Params {
    g: View,
    psi: View,
    lambda_in: View,
    lambda_out: View,
    d_psi: View,
    d_lambda_in: View,
    d_lambda_out: View,
    rows: u32,
    taps: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> gradients: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> gradients_scalar: array<f32>;

override LANES: u32 = 8u;
override SLICES: u32 = 8u;
override PSI: u32 = 1u;
override LAMBDA_IN: u32 = 1u;

@compute @workgroup_size(LANES, SLICES)
fn columns(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = (here.group.y * groups.x + here.group.x) * LANES + here.local.x;
    let cols = p.g.cols;
    let inside = 4u * quad < cols;
    let slot = here.local.y * LANES + here.local.x;
    let rows = select(0u, p.rows, inside);
    var lambda_in = vec4<f32>(0.0);
    if inside {
        lambda_in = parameters[at(p.lambda_in, here.group.z, 0u, quad)];
    }
    var sum = vec4<f32>(0.0);
    for (var j = here.local.y; j < rows; j += SLICES) {
        let gradient = g[at(p.g, here.group.z, j, quad)];
        if LAMBDA_IN != 0u {
            sum += parameters[at(p.psi, here.group.z, j, quad)] * gradient;
        }
        if PSI != 0u {
            let lambda_out = parameters[at(p.lambda_out, here.group.z, 0u, j / 4u)][j % 4u];
            gradients[at(p.d_psi, here.group.z, j, quad)] = keep((lambda_in - lambda_out) * gradient, quad, cols);
        }
    }
    if LAMBDA_IN == 0u {
        return;
    }
    if SLICES > 1u {
        partial[slot] = sum;
        workgroupBarrier();
        if here.local.y == 0u {
            for (var s = 1u; s < SLICES; s++) {
                sum += partial[s * LANES + here.local.x];
            }
        }
    }
    if inside && here.local.y == 0u {
        gradients[at(p.d_lambda_in, here.group.z, 0u, quad)] = keep(sum, quad, cols);
    }
}

// Where an eigenvalue belongs to a channel, TAPS columns of psi: a workgroup takes one, element by element.
@compute @workgroup_size(WORKGROUP)
fn channels(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let c = here.group.y * groups.x + here.group.x;
    let count = select(0u, p.rows * p.taps, c * p.taps < p.g.cols);
    var sum = vec4<f32>(0.0);
    for (var i = here.index; i < count; i += WORKGROUP) {
        let j = i / p.taps;
        let column = c * p.taps + i % p.taps;
        let gradient = g[at(p.g, here.group.z, j, column / 4u)][column % 4u];
        sum.x += parameters[at(p.psi, here.group.z, j, column / 4u)][column % 4u] * gradient;
        if PSI != 0u {
            let lambda_in = parameters[at(p.lambda_in, here.group.z, 0u, c / 4u)][c % 4u];
            let lambda_out = parameters[at(p.lambda_out, here.group.z, 0u, j / 4u)][j % 4u];
            gradients_scalar[element(p.d_psi, here.group.z, j, column)] = (lambda_in - lambda_out) * gradient;
        }
    }
    let all = total(here.index, sum);
    if LAMBDA_IN != 0u && here.index == 0u && count > 0u {
        gradients_scalar[element(p.d_lambda_in, here.group.z, 0u, c)] = all.x;
    }
}

@compute @workgroup_size(WORKGROUP)
fn rows(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let j = here.group.y * groups.x + here.group.x;
    let quads = select(0u, (p.g.cols + 3u) / 4u, j < p.rows);
    var sum = vec4<f32>(0.0);
    for (var quad = here.index; quad < quads; quad += WORKGROUP) {
        sum += parameters[at(p.psi, here.group.z, j, quad)] * g[at(p.g, here.group.z, j, quad)];
    }
    let all = total(here.index, sum);
    if here.index == 0u && j < p.rows {
        let to = here.group.z * p.d_lambda_out.stride + p.d_lambda_out.offset + j;
        gradients_scalar[to] = -(all.x + all.y + all.z + all.w);
    }
}
