// use: step, view, total

// normalise: softmax, its logarithm, or mean 0 and variance 1, of groups of a row's elements; and the products with their slopes.
// LEN elements of a group are INNER apart: element i of group g is g / INNER * LEN * INNER + i * INNER + g % INNER.
//
//     forward:  SOFTMAX y = exp(x - m) / sum exp(x - m), m the largest          LOG y = x - m - ln sum exp(x - m)
//               STANDARD y = (x - mean) * scale[g], scale = 1 / sqrt(variance + epsilon)
//     product:  of x: [rows * SEEDS, cols], y the forward's output of row r / SEEDS
//               SOFTMAX y * (x - sum y * x)          STANDARD scale * (x - mean x - y * mean(y * x))
//               LOG x - sum exp(y) * x; transposed (PULL) x - exp(y) * sum x. (The others' slopes are symmetric.)
//
// A workgroup takes a group; its sums meet in a binary tree. Bytes moved an element: forward 12 in, 4 out; product 16 in, 4 out.

struct Params {
    x: View,
    y: View,
    scale: View,
    out: View,
    len: u32,
    inner: u32,
    groups: u32,
    epsilon: f32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> scale_out: array<f32>;
@group(0) @binding(5) var<storage, read> y: array<f32>;
@group(0) @binding(6) var<storage, read> scale: array<f32>;

const SOFTMAX: u32 = 0u;
const LOG: u32 = 1u;
const STANDARD: u32 = 2u;
override KIND: u32 = 0u;
override PULL: u32 = 0u;

// The column of element i of a group.
fn column_of(group: u32, i: u32) -> u32 {
    return (group / p.inner * p.len + i) * p.inner + group % p.inner;
}

// The largest of every invocation's values; all of them receive it.
fn largest(local: u32, value: f32) -> f32 {
    partial[local] = vec4<f32>(value);
    workgroupBarrier();
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        if local < half {
            partial[local] = max(partial[local], partial[local + half]);
        }
        workgroupBarrier();
    }
    let all = partial[0].x;
    workgroupBarrier();
    return all;
}

@compute @workgroup_size(WORKGROUP)
fn forward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let task = here.group.y * groups.x + here.group.x;
    let row = task / p.groups;
    let group = task % p.groups;
    let count = select(0u, p.len, row < now.rows);
    let n = f32(p.len);
    var shift = 0.0;
    var factor = 1.0;
    if KIND == STANDARD {
        var sum = vec4<f32>(0.0);
        for (var i = here.index; i < count; i += WORKGROUP) {
            sum.x += x[element(p.x, here.group.z, row, column_of(group, i))];
        }
        shift = total(here.index, sum).x / n;
        sum = vec4<f32>(0.0);
        for (var i = here.index; i < count; i += WORKGROUP) {
            let d = x[element(p.x, here.group.z, row, column_of(group, i))] - shift;
            sum.x += d * d;
        }
        factor = 1.0 / sqrt(total(here.index, sum).x / n + p.epsilon);
        if here.index == 0u && count > 0u {
            scale_out[element(p.scale, here.group.z, row, group)] = factor;
        }
    } else {
        var most = -3.4e38;
        for (var i = here.index; i < count; i += WORKGROUP) {
            most = max(most, x[element(p.x, here.group.z, row, column_of(group, i))]);
        }
        shift = largest(here.index, most);
        var sum = vec4<f32>(0.0);
        for (var i = here.index; i < count; i += WORKGROUP) {
            sum.x += exp(x[element(p.x, here.group.z, row, column_of(group, i))] - shift);
        }
        factor = total(here.index, sum).x;
    }
    for (var i = here.index; i < count; i += WORKGROUP) {
        let c = column_of(group, i);
        let d = x[element(p.x, here.group.z, row, c)] - shift;
        var value = d * factor;
        if KIND == SOFTMAX {
            value = exp(d) / factor;
        } else if KIND == LOG {
            value = d - log(factor);
        }
        out[element(p.out, here.group.z, row, c)] = value;
    }
}

@compute @workgroup_size(WORKGROUP)
fn product(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let task = here.group.y * groups.x + here.group.x;
    let row = task / p.groups;
    let group = task % p.groups;
    let count = select(0u, p.len, row < now.rows * SEEDS);
    // Sums of x, of y * x, of exp(y) * x.
    var sum = vec4<f32>(0.0);
    for (var i = here.index; i < count; i += WORKGROUP) {
        let c = column_of(group, i);
        let v = x[element(p.x, here.group.z, row, c)];
        var paired = y[element(p.y, here.group.z, row / SEEDS, c)];
        if KIND == LOG {
            paired = exp(paired);
        }
        sum += vec4<f32>(v, paired * v, 0.0, 0.0);
    }
    sum = total(here.index, sum);
    var factor = 1.0;
    if KIND == STANDARD && count > 0u {
        factor = scale[element(p.scale, here.group.z, row / SEEDS, group)];
        sum /= f32(p.len);
    }
    for (var i = here.index; i < count; i += WORKGROUP) {
        let c = column_of(group, i);
        let v = x[element(p.x, here.group.z, row, c)];
        let own = y[element(p.y, here.group.z, row / SEEDS, c)];
        var value = factor * (v - sum.x - own * sum.y);
        if KIND == SOFTMAX {
            value = own * (v - sum.y);
        } else if KIND == LOG {
            value = v - select(sum.y, exp(own) * sum.x, PULL != 0u);
        }
        out[element(p.out, here.group.z, row, c)] = value;
    }
}
