// use: workgroup

// WORKGROUP is a power of two here.
var<workgroup> partial: array<vec4<f32>, 256>;

// The sum of every invocation's value, in a fixed order; all of them receive it.
fn total(local: u32, value: vec4<f32>) -> vec4<f32> {
    partial[local] = value;
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if local < half {
            partial[local] += partial[local + half];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}
