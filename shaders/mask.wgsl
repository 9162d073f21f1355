// use: step, view, plane

// mask: keeps the `kept` best inputs of an ordering and replaces the others, in place.
//
//     x[r, c] = fill[c] where position[ordering, c] >= kept          r < step.rows; ordering, kept: of the step
//
// position: words of each replica, [orderings, ld]; fill: [ld], shared, zero in the padding.
// Workgroups of 8 vec4s by 8 rows. Bytes moved: 48 in, 16 out, a vec4.

struct Params {
    x: View,
    position_stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> position: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> fill: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(8, 8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quads = p.x.ld / 4u;
    let quad = quad_of(here);
    for (var r = first_row(here, p.x); r < now.rows; r += row_step(groups)) {
        let place = position[here.group.z * (p.position_stride / 4u) + now.ordering * quads + quad];
        let index = at(p.x, here.group.z, r, quad);
        x[index] = keep(select(x[index], fill[quad], place >= vec4<u32>(now.kept)), quad, p.x.cols);
    }
}
