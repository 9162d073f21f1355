// use: step, view, activations, forms

// The two matrix products' parameters, bindings, and what is done to a sum before it is stored.
struct Params {
    a: View,
    b: View,
    out: View,
    // NT: pre; NN: what the slope is read from; TN: bias_gradient.
    extra: View,
    lambda_in: View,
    lambda_out: View,
    bias: View,
    // Tiles along the columns of out; TN: rows of out; NT, NN: length of the sum, a multiple of 4; last row of b.
    tiles: u32,
    rows: u32,
    depth: u32,
    b_last: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
// NT: z, kept for the activation's slope. TN: the bias's gradient, where that is not in out's buffer.
@group(0) @binding(5) var<storage, read_write> extra: array<vec4<f32>>;
// NN: what the slope is read from.
@group(0) @binding(6) var<storage, read> saved: array<vec4<f32>>;

// The epilogue, and the store, of four neighbouring columns.
fn put(replica: u32, row: u32, rows: u32, quad: u32, sum: vec4<f32>) {
    if row >= rows || 4u * quad >= p.out.ld {
        return;
    }
    var value = sum;
    if FORM == NT {
        if BIAS != 0u && 4u * quad < p.bias.cols {
            value += b[at(p.bias, replica, 0u, quad)];
        }
        if PRE != 0u {
            extra[at(p.extra, replica, row, quad)] = keep(value, quad, p.out.cols);
        }
        value = activate4(value);
    }
    if FORM == NN && SLOPE != 0u && 4u * quad < p.extra.cols {
        value *= slope4(saved[at(p.extra, replica, row / SEEDS, quad)]);
    }
    out[at(p.out, replica, row, quad)] = keep(value, quad, p.out.cols);
}

fn put_bias_gradient(replica: u32, quad: u32, sum: vec4<f32>) {
    if 4u * quad >= p.extra.cols {
        return;
    }
    let value = keep(sum, quad, p.extra.cols);
    if BIAS_GRADIENT == 1u {
        out[at(p.extra, replica, 0u, quad)] = value;
    } else {
        extra[at(p.extra, replica, 0u, quad)] = value;
    }
}
