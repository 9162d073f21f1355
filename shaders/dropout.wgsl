// use: step, view, plane, settings, mix

// dropout: inverted dropout with counter-based random numbers; its own backward.
//
//     y[r, c] = x[r, c] * scale where random(seed, count, node, r * cols + c) >= threshold, else 0       r < step.rows
//
// settings: words of each replica, the first is the seed. Workgroups of 8 vec4s by 8 rows draws four words.
// Bytes moved: 16 in, 16 out, a vec4.

struct Params {
    x: View,
    y: View,
    scale: f32,
    threshold: u32,
    node: u32,
    settings_stride: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> settings: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.y); r < now.rows; r += row_step(groups)) {
        let seed = setting_word(here.group.z, SEED);
        let key = mix_word(now.count ^ mix_word(p.node ^ mix_word(seed + 0x9e3779b9u)));
        let turned = (key << 16u) | (key >> 16u);
        let element = r * p.y.cols + 4u * quad;
        let word = vec4<u32>(
            mix_word(mix_word(element ^ key) + turned),
            mix_word(mix_word((element + 1u) ^ key) + turned),
            mix_word(mix_word((element + 2u) ^ key) + turned),
            mix_word(mix_word((element + 3u) ^ key) + turned),
        );
        var value = vec4<f32>(0.0);
        if 4u * quad < p.x.cols {
            value = x[at(p.x, here.group.z, r, quad)] * p.scale;
        }
        value = select(vec4<f32>(0.0), value, word >= vec4<u32>(p.threshold));
        y[at(p.y, here.group.z, r, quad)] = keep(value, quad, p.y.cols);
    }
}
