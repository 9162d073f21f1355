// use: step, view

// batch_product: a matrix product of every row's matrices: HEADS of them, side by side in a row.
//
//     out[r, h, i, j] = sum over k of a[r / A_SHARE, h, i, k] * b[r / B_SHARE, h, k, j]          r < step.rows * SEEDS
//
// a_row, a_column, b_row, b_column: distances of neighbours inside a matrix, so that transposition is swapping them.
// A workgroup of 64 makes 32 x 32 of one product, 4 x 4 an invocation, in slices of 8 along the sum, through 2 KiB of workgroup
// memory. Bytes loaded a workgroup and 8 steps: 2,048, for 16,384 flops.

struct Params {
    a: View,
    b: View,
    out: View,
    heads: u32,
    rows: u32,
    columns: u32,
    depth: u32,
    a_row: u32,
    a_column: u32,
    b_row: u32,
    b_column: u32,
    row_tiles: u32,
    tiles: u32,
    pad0: u32,
    pad1: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

// Rows of out that share a row of a, and of b.
override A_SHARE: u32 = 1u;
override B_SHARE: u32 = 1u;

const TILE_SIDE: u32 = 32u;
const TILE_DEPTH: u32 = 8u;

var<workgroup> a_tile: array<f32, 256>;
var<workgroup> b_tile: array<f32, 256>;

@compute @workgroup_size(64)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = here.group.y * groups.x + here.group.x;
    let product = index / (p.row_tiles * p.tiles);
    let r = product / p.heads;
    let head = product % p.heads;
    let row0 = index / p.tiles % p.row_tiles * TILE_SIDE;
    let column0 = index % p.tiles * TILE_SIDE;
    // A row beyond the batch has nothing to sum; the same for the whole workgroup.
    let exists = r < now.rows * SEEDS;
    let depth = select(0u, p.depth, exists);
    let x = here.index % 8u;
    let y = here.index / 8u;
    let a_from = element(p.a, here.group.z, r / A_SHARE, head * p.rows * p.depth);
    let b_from = element(p.b, here.group.z, r / B_SHARE, head * p.depth * p.columns);
    var c: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < depth; k0 += TILE_DEPTH) {
        for (var i = here.index; i < TILE_SIDE * TILE_DEPTH; i += 64u) {
            let row = row0 + i / TILE_DEPTH;
            let ka = k0 + i % TILE_DEPTH;
            var value = 0.0;
            if ka < depth && row < p.rows {
                value = a[a_from + row * p.a_row + ka * p.a_column];
            }
            a_tile[(i % TILE_DEPTH) * TILE_SIDE + i / TILE_DEPTH] = value;
            let column = column0 + i % TILE_SIDE;
            let kb = k0 + i / TILE_SIDE;
            value = 0.0;
            if kb < depth && column < p.columns {
                value = b[b_from + kb * p.b_row + column * p.b_column];
            }
            b_tile[i] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_DEPTH; k += 1u) {
            let left = k * TILE_SIDE + 4u * y;
            let right = k * TILE_SIDE + 4u * x;
            let w = vec4<f32>(b_tile[right], b_tile[right + 1u], b_tile[right + 2u], b_tile[right + 3u]);
            c[0] += a_tile[left] * w;
            c[1] += a_tile[left + 1u] * w;
            c[2] += a_tile[left + 2u] * w;
            c[3] += a_tile[left + 3u] * w;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 4u; i += 1u) {
        for (var j = 0u; j < 4u; j += 1u) {
            let row = row0 + 4u * y + i;
            let column = column0 + 4u * x + j;
            if exists && row < p.rows && column < p.columns {
                out[element(p.out, here.group.z, r, (head * p.rows + row) * p.columns + column)] = c[i][j];
            }
        }
    }
}
