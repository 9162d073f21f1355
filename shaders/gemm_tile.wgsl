// use: gemm

// gemm_tile: the matrix product through workgroup memory, for real GPUs.
//
//     NT  out[r, j] = activation(sum over i of a[r, i] * W[j, i] + bias[j])          forward;       b = psi or W: [M, N]
//     NN  out[r, i] = slope(saved[r / SEEDS, i]) * sum over j of a[r, j] * W[j, i]   backward;      b = psi or W: [M, N]
//     TN  out[j, i] = sum over r of a[r, j] * b[r / SEEDS, i]                        dW;            b: [B, N]
//         bias_gradient[j] = sum over r of a[r, j]
//     SPECTRAL: W[j, i] = (lambda_in[i] - lambda_out[j]) * psi[j, i], built while loading
//
// Batch rows r < step.rows * SEEDS. All matrices row-major with rows padded to whole vec4s of zeros; psi, the eigenvalues
// and the bias lie in one buffer.
//
// Tile: a workgroup of (TILE/4)^2 invocations makes TILE x TILE of out (64 or 32), 4 x 4 an invocation, in slices of 16
// along the sum. Both operands lie in workgroup memory as [k][quad of rows or columns]; blocks of 4 x 4 are transposed in
// registers on the way where memory is contiguous along the sum. Workgroup memory: 8 KiB.
// Bytes loaded a workgroup and 16 steps: 128 TILE, for 32 TILE^2 flops.

override TILE: u32 = 64u;
override THREADS: u32 = 256u;
const SLICE: u32 = 16u;

var<workgroup> a_tile: array<vec4<f32>, 256>;
var<workgroup> b_tile: array<vec4<f32>, 256>;

// Four steps of the sum for four rows of out: column c of the result is row r0 + c at step k + (its index).
fn load_a(replica: u32, row: u32, rows: u32, k: u32, depth: u32) -> mat4x4<f32> {
    var m = mat4x4<f32>();
    if row >= rows || k >= depth {
        return m;
    }
    if FORM == TN {
        let quad = row / 4u;
        m[0] = a[at(p.a, replica, k, quad)];
        if k + 1u < depth { m[1] = a[at(p.a, replica, k + 1u, quad)]; }
        if k + 2u < depth { m[2] = a[at(p.a, replica, k + 2u, quad)]; }
        if k + 3u < depth { m[3] = a[at(p.a, replica, k + 3u, quad)]; }
        return m;
    }
    // Rows beyond the last are loaded as the last, and dropped at the store.
    let last = rows - 1u;
    m[0] = a[at(p.a, replica, row, k / 4u)];
    m[1] = a[at(p.a, replica, min(row + 1u, last), k / 4u)];
    m[2] = a[at(p.a, replica, min(row + 2u, last), k / 4u)];
    m[3] = a[at(p.a, replica, min(row + 3u, last), k / 4u)];
    return transpose(m);
}

// Four steps of the sum (columns of the result) for four columns of out.
fn load_b(replica: u32, quad: u32, k: u32, depth: u32) -> mat4x4<f32> {
    var m = mat4x4<f32>();
    if 4u * quad >= p.out.cols || k >= depth {
        return m;
    }
    if FORM == TN {
        let last = depth - 1u;
        m[0] = b[at(p.b, replica, k / SEEDS, quad)];
        m[1] = b[at(p.b, replica, min(k + 1u, last) / SEEDS, quad)];
        m[2] = b[at(p.b, replica, min(k + 2u, last) / SEEDS, quad)];
        m[3] = b[at(p.b, replica, min(k + 3u, last) / SEEDS, quad)];
        return m;
    }
    if FORM == NT {
        let j = 4u * quad;
        m[0] = b[at(p.b, replica, j, k / 4u)];
        m[1] = b[at(p.b, replica, min(j + 1u, p.b_last), k / 4u)];
        m[2] = b[at(p.b, replica, min(j + 2u, p.b_last), k / 4u)];
        m[3] = b[at(p.b, replica, min(j + 3u, p.b_last), k / 4u)];
        if SPECTRAL != 0u {
            let lambda_in = b[at(p.lambda_in, replica, 0u, k / 4u)];
            let lambda_out = b[at(p.lambda_out, replica, 0u, quad)];
            m[0] *= lambda_in - lambda_out.x;
            m[1] *= lambda_in - lambda_out.y;
            m[2] *= lambda_in - lambda_out.z;
            m[3] *= lambda_in - lambda_out.w;
        }
        return transpose(m);
    }
    // Beyond the last row of W, a holds its zero padding.
    m[0] = b[at(p.b, replica, k, quad)];
    m[1] = b[at(p.b, replica, min(k + 1u, p.b_last), quad)];
    m[2] = b[at(p.b, replica, min(k + 2u, p.b_last), quad)];
    m[3] = b[at(p.b, replica, min(k + 3u, p.b_last), quad)];
    if SPECTRAL != 0u {
        let lambda_in = b[at(p.lambda_in, replica, 0u, quad)];
        let lambda_out = b[at(p.lambda_out, replica, 0u, k / 4u)];
        m[0] *= lambda_in - lambda_out.x;
        m[1] *= lambda_in - lambda_out.y;
        m[2] *= lambda_in - lambda_out.z;
        m[3] *= lambda_in - lambda_out.w;
    }
    return m;
}

@compute @workgroup_size(THREADS)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let replica = here.group.z;
    let tile = here.group.y * groups.x + here.group.x;
    let quads = TILE / 4u;
    let row0 = (tile / p.tiles) * TILE;
    let quad0 = (tile % p.tiles) * quads;
    let batch = now.rows * SEEDS;
    var rows = batch;
    var depth = p.depth;
    if FORM == TN {
        rows = p.rows;
        depth = batch;
    }
    // A tile beyond the rows has nothing to sum; the same for the whole workgroup.
    depth = select(0u, depth, row0 < rows);
    let x = here.index % quads;
    let y = here.index / quads;
    var c0 = vec4<f32>(0.0);
    var c1 = vec4<f32>(0.0);
    var c2 = vec4<f32>(0.0);
    var c3 = vec4<f32>(0.0);
    var column_sum = vec4<f32>(0.0);
    for (var k0 = 0u; k0 < depth; k0 += SLICE) {
        // 4 x 4 blocks, first all of a, then all of b; neighbours are contiguous in memory.
        for (var i = here.index; i < 8u * quads; i += THREADS) {
            let block = i % (4u * quads);
            let of_b = i >= 4u * quads;
            let along_k = (of_b && FORM == NT) || (!of_b && FORM != TN);
            let kq = select(block / quads, block % 4u, along_k);
            let q = select(block % quads, block / 4u, along_k);
            let to = 4u * kq * quads + q;
            if of_b {
                let m = load_b(replica, quad0 + q, k0 + 4u * kq, depth);
                b_tile[to] = m[0];
                b_tile[to + quads] = m[1];
                b_tile[to + 2u * quads] = m[2];
                b_tile[to + 3u * quads] = m[3];
            } else {
                let m = load_a(replica, row0 + 4u * q, rows, k0 + 4u * kq, depth);
                a_tile[to] = m[0];
                a_tile[to + quads] = m[1];
                a_tile[to + 2u * quads] = m[2];
                a_tile[to + 3u * quads] = m[3];
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < SLICE; k++) {
            let s = a_tile[k * quads + y];
            let w = b_tile[k * quads + x];
            c0 += s.x * w;
            c1 += s.y * w;
            c2 += s.z * w;
            c3 += s.w * w;
            if BIAS_GRADIENT != 0u {
                column_sum += s;
            }
        }
        workgroupBarrier();
    }
    let row = row0 + 4u * y;
    put(replica, row, rows, quad0 + x, c0);
    put(replica, row + 1u, rows, quad0 + x, c1);
    put(replica, row + 2u, rows, quad0 + x, c2);
    put(replica, row + 3u, rows, quad0 + x, c3);
    if BIAS_GRADIENT != 0u && tile % p.tiles == 0u && x == 0u {
        put_bias_gradient(replica, row / 4u, column_sum);
    }
}
