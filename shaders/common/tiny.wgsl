// Below 1e-30 a number counts as 0, so that what dies never gets denormal.
// A comparison that is false for NaN: what is not finite stays visible.
fn without_tiny(x: f32) -> f32 {
    return select(x, 0.0, abs(x) < 1e-30);
}

fn without_tiny4(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(0.0), abs(x) < vec4<f32>(1e-30));
}
