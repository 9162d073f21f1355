// A matrix of each replica: element (r, c) is at replica * stride + offset + r * ld + c.
struct View {
    offset: u32,
    stride: u32,
    cols: u32,
    ld: u32,
}

// Index of the vec4 at row r, column 4 * quad.
fn at(v: View, replica: u32, r: u32, quad: u32) -> u32 {
    return (replica * v.stride + v.offset + r * v.ld) / 4u + quad;
}

// Index of the number at row r, column c.
fn element(v: View, replica: u32, r: u32, c: u32) -> u32 {
    return replica * v.stride + v.offset + r * v.ld + c;
}

// Zero in the padding columns.
fn keep(value: vec4<f32>, quad: u32, cols: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), value, vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(cols));
}
