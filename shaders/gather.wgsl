// use: step, view, plane

// gather: loads the batch's inputs from the resident data set and scales them.
//
//     out[r, c] = (data[rows[r], c] - shift[c]) * scale[c]          r < step.rows, c < cols; padding columns become 0
//
// data: words, shared, row-major: four bytes a word (BYTES = 1) or one f32 a word (BYTES = 0). A data set larger than a
// binding comes in parts of whole rows: each dispatch sees rows first..last and leaves the others alone.
// scaling: [2, ld], shift then scale. Workgroups of 8 vec4s by 8 rows. Bytes moved: 4 or 16 in, 16 out, a vec4.

struct Params {
    out: View,
    rows_stride: u32,
    row_words: u32,
    first: u32,
    last: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> picked: array<u32>;
@group(0) @binding(3) var<storage, read> data: array<u32>;
@group(0) @binding(4) var<storage, read> scaling: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

override BYTES: u32 = 0u;

fn load(word: u32, c: u32) -> vec4<f32> {
    if BYTES != 0u {
        let packed = data[word + c / 4u];
        return vec4<f32>(
            f32(packed & 255u),
            f32((packed >> 8u) & 255u),
            f32((packed >> 16u) & 255u),
            f32(packed >> 24u),
        );
    }
    // The last columns of a row repeat the last value; keep() zeroes them.
    let last = p.out.cols - 1u;
    return vec4<f32>(
        bitcast<f32>(data[word + c]),
        bitcast<f32>(data[word + min(c + 1u, last)]),
        bitcast<f32>(data[word + min(c + 2u, last)]),
        bitcast<f32>(data[word + min(c + 3u, last)]),
    );
}

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quads = p.out.ld / 4u;
    let quad = quad_of(here);
    // Outside the loop: a load costs more than the arithmetic.
    let column = min(quad, quads - 1u);
    let shift = scaling[column];
    let scale = scaling[quads + column];
    for (var r = first_row(here, p.out); r < now.rows; r += row_step(groups)) {
        let row = picked[here.group.z * p.rows_stride + r];
        if row < p.first || row >= p.last {
            continue;
        }
        var value = vec4<f32>(0.0);
        if 4u * quad < p.out.cols {
            let x = load((row - p.first) * p.row_words, 4u * quad);
            value = keep((x - shift) * scale, quad, p.out.cols);
        }
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}
