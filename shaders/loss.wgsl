// use: step, view, flat

// loss: the loss of every sample and its gradient with respect to the network's output.
//
//     stats[r] = w [loss, metric, square, 0]        gradient[r, c] = w d(mean loss over the batch) / d output[r, c]
//
// w: the weight of data set row rows[r]; WEIGHTED 0: 1, and no weights are read.
// KIND CE: softmax cross-entropy (metric: the first largest output is the label); MAE: absolute error, MSE: squared error,
// HUBER: Huber with delta 1, averaged over the C outputs (metric: mean |e|, square: mean e^2). targets: words, shared:
// labels [row], or f32 bits [row, C]. rows: words of each replica. One invocation a row, r < step.rows.
// Bytes moved: 4 C in (twice), 4 C out, 16 out, a row; 4 more in for the weight.

struct Params {
    output: View,
    gradient: View,
    stats: View,
    rows_stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> output: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> targets: array<u32>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(7) var<storage, read> weights: array<f32>;

const CE: u32 = 0u;
const MAE: u32 = 1u;
const MSE: u32 = 2u;
const HUBER: u32 = 3u;
override KIND: u32 = CE;
override GRADIENT: u32 = 1u;
override WEIGHTED: u32 = 0u;

fn cross_entropy(base: u32, to: u32, label: u32, weight: f32) -> vec4<f32> {
    let cols = p.output.cols;
    var largest = output[base];
    var best = 0u;
    for (var c = 1u; c < cols; c++) {
        let o = output[base + c];
        if o > largest {
            largest = o;
            best = c;
        }
    }
    var sum = 0.0;
    for (var c = 0u; c < cols; c++) {
        sum += exp(output[base + c] - largest);
    }
    if GRADIENT != 0u {
        let scale = weight / f32(now.rows);
        for (var c = 0u; c < cols; c++) {
            let share = exp(output[base + c] - largest) / sum;
            gradient[to + c] = (share - select(0.0, 1.0, c == label)) * scale;
        }
    }
    let loss = log(sum) - (output[base + label] - largest);
    return vec4<f32>(loss, select(0.0, 1.0, best == label), 0.0, 0.0);
}

fn regression(base: u32, to: u32, from_target: u32, weight: f32) -> vec4<f32> {
    let cols = p.output.cols;
    let scale = weight / (f32(now.rows) * f32(cols));
    var sum = vec4<f32>(0.0);
    for (var c = 0u; c < cols; c++) {
        let e = output[base + c] - bitcast<f32>(targets[from_target + c]);
        let size = abs(e);
        var loss = size;
        // Not sign(): a NaN stays one.
        var slope = select(e / size, 0.0, e == 0.0);
        if KIND == MSE {
            loss = e * e;
            slope = 2.0 * e;
        } else if KIND == HUBER {
            let inside = size <= 1.0;
            loss = select(size - 0.5, 0.5 * e * e, inside);
            slope = select(slope, e, inside);
        } else {
            // e / |e| of an infinite error would be NaN.
            slope = select(slope, sign(e), size > 1.0);
        }
        sum += vec4<f32>(loss, size, e * e, 0.0);
        if GRADIENT != 0u {
            gradient[to + c] = slope * scale;
        }
    }
    return sum / f32(cols);
}

@compute @workgroup_size(WORKGROUP)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let r = flat(here, groups);
    if r >= now.rows {
        return;
    }
    let row = rows[here.group.z * p.rows_stride + r];
    let base = here.group.z * p.output.stride + p.output.offset + r * p.output.ld;
    let to = here.group.z * p.gradient.stride + p.gradient.offset + r * p.gradient.ld;
    var weight = 1.0;
    if WEIGHTED != 0u {
        weight = weights[row];
    }
    var result: vec4<f32>;
    if KIND == CE {
        result = cross_entropy(base, to, targets[row], weight);
    } else {
        result = regression(base, to, row * p.output.cols, weight);
    }
    if GRADIENT != 0u {
        for (var c = p.gradient.cols; c < p.gradient.ld; c++) {
            gradient[to + c] = 0.0;
        }
    }
    stats[(here.group.z * p.stats.stride + p.stats.offset + r * p.stats.ld) / 4u] = weight * result;
}
