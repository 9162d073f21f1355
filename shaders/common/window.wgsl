// A window that slides over three spatial axes (kernels/window.rs): output element o sees at tap k the input element
// o * stride + k * dilation - before of each axis, or padding.
struct Window {
    input: vec4<u32>,
    output: vec4<u32>,
    kernel: vec4<u32>,
    stride: vec4<u32>,
    dilation: vec4<u32>,
    before: vec4<u32>,
}

// No element: padding.
const NONE: u32 = 0xffffffffu;

fn place(sizes: vec4<u32>, index: u32) -> vec3<u32> {
    return vec3<u32>(index / (sizes.y * sizes.z), index / sizes.z % sizes.y, index % sizes.z);
}

fn elements(sizes: vec4<u32>) -> u32 {
    return sizes.x * sizes.y * sizes.z;
}

// The flat input index that output element o sees at a tap, both flat.
fn seen(w: Window, o: u32, tap: u32) -> u32 {
    let shifted = place(w.output, o) * w.stride.xyz + place(w.kernel, tap) * w.dilation.xyz;
    // Below the first element the difference wraps to a large number.
    let i = shifted - w.before.xyz;
    if any(i >= w.input.xyz) {
        return NONE;
    }
    return (i.x * w.input.y + i.y) * w.input.z + i.z;
}

// The flat output index that sees input element i at a tap, both flat.
fn seeing(w: Window, i: u32, tap: u32) -> u32 {
    let shifted = place(w.input, i) + w.before.xyz - place(w.kernel, tap) * w.dilation.xyz;
    let o = shifted / w.stride.xyz;
    // A wrapped difference may be small after the division, so it is looked at too.
    if any(o >= w.output.xyz) || any(o * w.stride.xyz != shifted) || any(shifted >= vec3<u32>(0x80000000u)) {
        return NONE;
    }
    return (o.x * w.output.y + o.y) * w.output.z + o.z;
}
