// use: forms, step, view, activations, window

// convolve: the three products of a convolution. Rows of batch matrices are [channel, spatial]; weight [M, C * K]: M filters, the
// C channels of a group, K taps; seen() and seeing(): common/window.
//
//     NT  out[r, o, p] = activation(sum over c, k of W[o, c, k] * a[r, c, seen(p, k)] + bias[o])     b = psi or W
//     NN  out[r, c, i] = slope(saved[r / SEEDS, c, i]) * sum over o, k of W[o, c, k] * a[r, o, seeing(i, k)]
//     TN  out[o, (c, k)] = sum over r, p of a[r, o, p] * b[r / SEEDS, c, seen(p, k)]
//         bias_gradient[o] = sum over r, p of a[r, o, p]
//     SPECTRAL: W[o, c, k] = (lambda_in[c] - lambda_out[o]) * psi[o, c, k], built while loading
//
// Batch rows r < step.rows * SEEDS; a group of filters sees its own channels only. psi, eigenvalues and bias lie in one buffer.
//
// Tile: a workgroup of 64 invocations makes 32 x 32 of one sample's (TN: all samples') product for one group, 4 x 4 an
// invocation, in slices of 8 along the sum. Both operands go through workgroup memory, 2 KiB, and are gathered an element at a
// time: a window's elements begin anywhere. Bytes loaded a workgroup and 8 steps: 2,048, for 16,384 flops.

struct Params {
    window: Window,
    a: View,
    b: View,
    out: View,
    // NT: pre; NN: what the slope is read from; TN: bias_gradient.
    extra: View,
    lambda_in: View,
    lambda_out: View,
    bias: View,
    groups: u32,
    // Of a group.
    channels: u32,
    filters: u32,
    // Tiles along the rows and the columns of a group's product.
    row_tiles: u32,
    tiles: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
// NT: z, kept for the activation's slope. TN: the bias's gradient, where that is not in out's buffer.
@group(0) @binding(5) var<storage, read_write> extra: array<f32>;
// NN: what the slope is read from.
@group(0) @binding(6) var<storage, read> saved: array<f32>;

const SIDE: u32 = 32u;
const DEPTH: u32 = 8u;

// [k][row] and [k][column].
var<workgroup> left_tile: array<f32, 256>;
var<workgroup> right_tile: array<f32, 256>;

// Which product this workgroup works on.
struct Part {
    replica: u32,
    sample: u32,
    group: u32,
    taps: u32,
    inputs: u32,
    outputs: u32,
}

// W of a unit of all groups, at one channel of its group and one tap.
fn weight(part: Part, unit: u32, c: u32, tap: u32) -> f32 {
    let value = b[element(p.b, part.replica, unit, c * part.taps + tap)];
    if SPECTRAL == 0u {
        return value;
    }
    let channel = part.group * p.channels + c;
    return (b[element(p.lambda_in, part.replica, 0u, channel)] - b[element(p.lambda_out, part.replica, 0u, unit)]) * value;
}

// Step k of the sum, for a row of the product.
fn left(part: Part, row: u32, k: u32) -> f32 {
    if FORM == NT {
        return weight(part, part.group * p.filters + row, k / part.taps, k % part.taps);
    }
    if FORM == NN {
        return weight(part, part.group * p.filters + k / part.taps, row, k % part.taps);
    }
    let unit = part.group * p.filters + row;
    return a[element(p.a, part.replica, k / part.outputs, unit * part.outputs + k % part.outputs)];
}

// Step k of the sum, for a column of the product.
fn right(part: Part, column: u32, k: u32) -> f32 {
    if FORM == NT {
        let i = seen(p.window, column, k % part.taps);
        if i == NONE {
            return 0.0;
        }
        let channel = part.group * p.channels + k / part.taps;
        return a[element(p.a, part.replica, part.sample, channel * part.inputs + i)];
    }
    if FORM == NN {
        let o = seeing(p.window, column, k % part.taps);
        if o == NONE {
            return 0.0;
        }
        let unit = part.group * p.filters + k / part.taps;
        return a[element(p.a, part.replica, part.sample, unit * part.outputs + o)];
    }
    let i = seen(p.window, k % part.outputs, column % part.taps);
    if i == NONE {
        return 0.0;
    }
    let channel = part.group * p.channels + column / part.taps;
    return b[element(p.b, part.replica, k / part.outputs / SEEDS, channel * part.inputs + i)];
}

// The epilogue, and the store, of four neighbouring columns of which the first `count` exist.
fn store(part: Part, row: u32, column: u32, count: u32, sum: vec4<f32>) {
    var value = sum;
    var r = part.sample;
    var first = 0u;
    if FORM == NT {
        let unit = part.group * p.filters + row;
        first = unit * part.outputs + column;
        if BIAS != 0u {
            value += vec4<f32>(b[element(p.bias, part.replica, 0u, unit)]);
        }
        if PRE != 0u {
            for (var i = 0u; i < count; i += 1u) {
                extra[element(p.extra, part.replica, r, first + i)] = value[i];
            }
        }
        value = activate4(value);
    } else if FORM == NN {
        first = (part.group * p.channels + row) * part.inputs + column;
        if SLOPE != 0u {
            var kept = vec4<f32>(0.0);
            for (var i = 0u; i < count; i += 1u) {
                kept[i] = saved[element(p.extra, part.replica, r / SEEDS, first + i)];
            }
            value *= slope4(kept);
        }
    } else {
        r = part.group * p.filters + row;
        first = column;
    }
    for (var i = 0u; i < count; i += 1u) {
        out[element(p.out, part.replica, r, first + i)] = value[i];
    }
}

fn store_bias_gradient(part: Part, row: u32, sum: f32) {
    let to = element(p.extra, part.replica, 0u, part.group * p.filters + row);
    if BIAS_GRADIENT == 1u {
        out[to] = sum;
    } else {
        extra[to] = sum;
    }
}

@compute @workgroup_size(64)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = here.group.y * groups.x + here.group.x;
    let product = index / (p.row_tiles * p.tiles);
    var part: Part;
    part.replica = here.group.z;
    part.sample = product / p.groups;
    part.group = product % p.groups;
    part.taps = elements(p.window.kernel);
    part.inputs = elements(p.window.input);
    part.outputs = elements(p.window.output);
    let batch = now.rows * SEEDS;
    var rows = p.filters;
    var columns = part.outputs;
    var depth = p.channels * part.taps;
    if FORM == NN {
        rows = p.channels;
        columns = part.inputs;
        depth = p.filters * part.taps;
    } else if FORM == TN {
        columns = p.channels * part.taps;
        depth = batch * part.outputs;
    }
    let row0 = index / p.tiles % p.row_tiles * SIDE;
    let column0 = index % p.tiles * SIDE;
    // A sample beyond the batch has nothing to sum; the same for the whole workgroup.
    let exists = FORM == TN || part.sample < batch;
    depth = select(0u, depth, exists);
    let x = here.index % 8u;
    let y = here.index / 8u;
    var c0 = vec4<f32>(0.0);
    var c1 = vec4<f32>(0.0);
    var c2 = vec4<f32>(0.0);
    var c3 = vec4<f32>(0.0);
    var row_sum = vec4<f32>(0.0);
    for (var k0 = 0u; k0 < depth; k0 += DEPTH) {
        for (var i = here.index; i < SIDE * DEPTH; i += 64u) {
            // Neighbours of the left operand lie along the sum.
            let kl = k0 + i % DEPTH;
            let row = row0 + i / DEPTH;
            var value = 0.0;
            if kl < depth && row < rows {
                value = left(part, row, kl);
            }
            left_tile[(i % DEPTH) * SIDE + i / DEPTH] = value;
            let kr = k0 + i / SIDE;
            let column = column0 + i % SIDE;
            value = 0.0;
            if kr < depth && column < columns {
                value = right(part, column, kr);
            }
            right_tile[i] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k += 1u) {
            let l = k * SIDE + 4u * y;
            let r = k * SIDE + 4u * x;
            let s = vec4<f32>(left_tile[l], left_tile[l + 1u], left_tile[l + 2u], left_tile[l + 3u]);
            let w = vec4<f32>(right_tile[r], right_tile[r + 1u], right_tile[r + 2u], right_tile[r + 3u]);
            c0 += s.x * w;
            c1 += s.y * w;
            c2 += s.z * w;
            c3 += s.w * w;
            if BIAS_GRADIENT != 0u {
                row_sum += s;
            }
        }
        workgroupBarrier();
    }
    let column = column0 + 4u * x;
    if !exists || column >= columns {
        return;
    }
    let count = min(4u, columns - column);
    for (var i = 0u; i < 4u; i += 1u) {
        let row = row0 + 4u * y + i;
        if row >= rows {
            return;
        }
        var sum = c0;
        if i == 1u { sum = c1; }
        if i == 2u { sum = c2; }
        if i == 3u { sum = c3; }
        store(part, row, column, count, sum);
        if BIAS_GRADIENT != 0u && column == 0u {
            store_bias_gradient(part, row, row_sum[i]);
        }
    }
}
