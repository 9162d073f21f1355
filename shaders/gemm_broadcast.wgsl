// use: gemm

// gemm_broadcast: the matrix product for adapters whose subgroups have exactly 8 invocations (lavapipe, llvmpipe).
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
// Tile: a workgroup is one subgroup and makes 32 rows x 32 columns of out; a lane holds 4 columns of all 32 rows (128
// accumulators). For every 4 steps of the sum a lane loads 4 vec4 of a (rows 4 lane ... 4 lane + 3), which the others get by
// subgroupBroadcast, and 4 vec4 of b: there the price is a load instruction, not a multiplication. No shared memory, no
// early return and no branch around the loop (both would put an execution mask over it).
// Bytes loaded a workgroup and 4 steps: 512 of a, 512 of b (and 16 of eigenvalues), for 8,192 flops.
// Measured on lavapipe, 2 cores otherwise idle, GFLOP/s: 500 x 784 x 100: NT 45-48, NN 40-42, TN 48-50 (16 replicas: 46-48,
// 29-30, 38); 500 x 100 x 100: 30-38. TN at 16 replicas made 33-34 with its workgroups in row order.
// Each pipeline costs lavapipe some 0.2 s to compile, once (Mesa keeps them on disk).

fn times(s: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return s.x * w0 + s.y * w1 + s.z * w2 + s.w * w3;
}

@compute @workgroup_size(8)
fn main(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let replica = here.group.z;
    let tile = here.group.y * groups.x + here.group.x;
    // TN: neighbouring workgroups share columns of b, the larger matrix; else they share rows of a.
    var tile_row = tile / p.tiles;
    var tile_column = tile % p.tiles;
    if FORM == TN {
        let tile_rows = (p.rows + 31u) / 32u;
        tile_row = tile % tile_rows;
        tile_column = tile / tile_rows;
    }
    let row0 = tile_row * 32u;
    let quad = tile_column * 8u + lane;
    let batch = now.rows * SEEDS;
    var rows = batch;
    var depth = p.depth;
    if FORM == TN {
        rows = p.rows;
        depth = batch;
    }
    // A tile beyond the rows has nothing to sum.
    depth = select(0u, depth, row0 < rows);

    // Addresses are clamped into the matrices; what was loaded twice is dropped at the store.
    let last = max(rows, 1u) - 1u;
    let my_row = row0 + 4u * lane;
    let a_quad = min(my_row, p.a.ld - 4u) / 4u;
    let b_quad = min(quad, p.b.ld / 4u - 1u);
    var ia0 = at(p.a, replica, min(my_row, last), 0u);
    var ia1 = at(p.a, replica, min(my_row + 1u, last), 0u);
    var ia2 = at(p.a, replica, min(my_row + 2u, last), 0u);
    var ia3 = at(p.a, replica, min(my_row + 3u, last), 0u);
    let ib0 = at(p.b, replica, min(4u * quad, p.b_last), 0u);
    let ib1 = at(p.b, replica, min(4u * quad + 1u, p.b_last), 0u);
    let ib2 = at(p.b, replica, min(4u * quad + 2u, p.b_last), 0u);
    let ib3 = at(p.b, replica, min(4u * quad + 3u, p.b_last), 0u);
    let a_column = at(p.a, replica, 0u, a_quad);
    let b_column = at(p.b, replica, 0u, b_quad);
    let a_ld = p.a.ld / 4u;
    let b_ld = p.b.ld / 4u;
    // TN: where the sum has got to in both matrices, and their last rows.
    var a_at = a_column;
    var b_at = b_column;
    let a_end = a_column + (max(depth, 1u) - 1u) * a_ld;
    let b_end = b_column + (max(depth, 1u) - 1u) * b_ld;
    // NT: lambda_out of this lane's columns, lambda_in along the sum; NN: the other way round.
    var mine = vec4<f32>(0.0);
    var along = 0u;
    if SPECTRAL != 0u && FORM == NT {
        mine = b[at(p.lambda_out, replica, 0u, min(quad, p.lambda_out.ld / 4u - 1u))];
        along = at(p.lambda_in, replica, 0u, 0u);
    }
    if SPECTRAL != 0u && FORM == NN {
        mine = b[at(p.lambda_in, replica, 0u, b_quad)];
        along = at(p.lambda_out, replica, 0u, 0u);
    }

    var c00 = vec4<f32>(0.0);
    var c01 = vec4<f32>(0.0);
    var c02 = vec4<f32>(0.0);
    var c03 = vec4<f32>(0.0);
    var c04 = vec4<f32>(0.0);
    var c05 = vec4<f32>(0.0);
    var c06 = vec4<f32>(0.0);
    var c07 = vec4<f32>(0.0);
    var c08 = vec4<f32>(0.0);
    var c09 = vec4<f32>(0.0);
    var c10 = vec4<f32>(0.0);
    var c11 = vec4<f32>(0.0);
    var c12 = vec4<f32>(0.0);
    var c13 = vec4<f32>(0.0);
    var c14 = vec4<f32>(0.0);
    var c15 = vec4<f32>(0.0);
    var c16 = vec4<f32>(0.0);
    var c17 = vec4<f32>(0.0);
    var c18 = vec4<f32>(0.0);
    var c19 = vec4<f32>(0.0);
    var c20 = vec4<f32>(0.0);
    var c21 = vec4<f32>(0.0);
    var c22 = vec4<f32>(0.0);
    var c23 = vec4<f32>(0.0);
    var c24 = vec4<f32>(0.0);
    var c25 = vec4<f32>(0.0);
    var c26 = vec4<f32>(0.0);
    var c27 = vec4<f32>(0.0);
    var c28 = vec4<f32>(0.0);
    var c29 = vec4<f32>(0.0);
    var c30 = vec4<f32>(0.0);
    var c31 = vec4<f32>(0.0);
    var column_sum = vec4<f32>(0.0);
    for (var k = 0u; k < depth; k += 4u) {
        let k4 = k / 4u;
        var a0: vec4<f32>;
        var a1: vec4<f32>;
        var a2: vec4<f32>;
        var a3: vec4<f32>;
        var w0: vec4<f32>;
        var w1: vec4<f32>;
        var w2: vec4<f32>;
        var w3: vec4<f32>;
        if FORM == TN {
            // Rows beyond the batch are undefined: load the last one again, and count it as 0.
            let a1_at = min(a_at + a_ld, a_end);
            let a2_at = min(a1_at + a_ld, a_end);
            let a3_at = min(a2_at + a_ld, a_end);
            let s0 = a[a_at];
            let s1 = select(vec4<f32>(0.0), a[a1_at], k + 1u < depth);
            let s2 = select(vec4<f32>(0.0), a[a2_at], k + 2u < depth);
            let s3 = select(vec4<f32>(0.0), a[a3_at], k + 3u < depth);
            a_at = a_at + 4u * a_ld;
            a0 = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
            a1 = vec4<f32>(s0.y, s1.y, s2.y, s3.y);
            a2 = vec4<f32>(s0.z, s1.z, s2.z, s3.z);
            a3 = vec4<f32>(s0.w, s1.w, s2.w, s3.w);
            if BIAS_GRADIENT != 0u {
                column_sum += (s0 + s1) + (s2 + s3);
            }
            if SEEDS == 1u {
                w0 = b[b_at];
                w1 = b[min(b_at + b_ld, b_end)];
                w2 = b[min(b_at + 2u * b_ld, b_end)];
                w3 = b[min(b_at + 3u * b_ld, b_end)];
                b_at = b_at + 4u * b_ld;
            } else {
                let end = depth - 1u;
                w0 = b[b_column + (k / SEEDS) * b_ld];
                w1 = b[b_column + (min(k + 1u, end) / SEEDS) * b_ld];
                w2 = b[b_column + (min(k + 2u, end) / SEEDS) * b_ld];
                w3 = b[b_column + (min(k + 3u, end) / SEEDS) * b_ld];
            }
        } else {
            a0 = a[ia0 + k4];
            a1 = a[ia1 + k4];
            a2 = a[ia2 + k4];
            a3 = a[ia3 + k4];
        }
        if FORM == NT {
            var s0 = b[ib0 + k4];
            var s1 = b[ib1 + k4];
            var s2 = b[ib2 + k4];
            var s3 = b[ib3 + k4];
            if SPECTRAL != 0u {
                let lambda = b[along + k4];
                s0 *= lambda - mine.x;
                s1 *= lambda - mine.y;
                s2 *= lambda - mine.z;
                s3 *= lambda - mine.w;
            }
            w0 = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
            w1 = vec4<f32>(s0.y, s1.y, s2.y, s3.y);
            w2 = vec4<f32>(s0.z, s1.z, s2.z, s3.z);
            w3 = vec4<f32>(s0.w, s1.w, s2.w, s3.w);
        }
        if FORM == NN {
            // Beyond the last row of W, a holds its zero padding.
            w0 = b[b_column + k * b_ld];
            w1 = b[b_column + min(k + 1u, p.b_last) * b_ld];
            w2 = b[b_column + min(k + 2u, p.b_last) * b_ld];
            w3 = b[b_column + min(k + 3u, p.b_last) * b_ld];
            if SPECTRAL != 0u {
                let lambda = b[along + k4];
                w0 *= mine - lambda.x;
                w1 *= mine - lambda.y;
                w2 *= mine - lambda.z;
                w3 *= mine - lambda.w;
            }
        }
        c00 += times(subgroupBroadcast(a0, 0u), w0, w1, w2, w3);
        c01 += times(subgroupBroadcast(a1, 0u), w0, w1, w2, w3);
        c02 += times(subgroupBroadcast(a2, 0u), w0, w1, w2, w3);
        c03 += times(subgroupBroadcast(a3, 0u), w0, w1, w2, w3);
        c04 += times(subgroupBroadcast(a0, 1u), w0, w1, w2, w3);
        c05 += times(subgroupBroadcast(a1, 1u), w0, w1, w2, w3);
        c06 += times(subgroupBroadcast(a2, 1u), w0, w1, w2, w3);
        c07 += times(subgroupBroadcast(a3, 1u), w0, w1, w2, w3);
        c08 += times(subgroupBroadcast(a0, 2u), w0, w1, w2, w3);
        c09 += times(subgroupBroadcast(a1, 2u), w0, w1, w2, w3);
        c10 += times(subgroupBroadcast(a2, 2u), w0, w1, w2, w3);
        c11 += times(subgroupBroadcast(a3, 2u), w0, w1, w2, w3);
        c12 += times(subgroupBroadcast(a0, 3u), w0, w1, w2, w3);
        c13 += times(subgroupBroadcast(a1, 3u), w0, w1, w2, w3);
        c14 += times(subgroupBroadcast(a2, 3u), w0, w1, w2, w3);
        c15 += times(subgroupBroadcast(a3, 3u), w0, w1, w2, w3);
        c16 += times(subgroupBroadcast(a0, 4u), w0, w1, w2, w3);
        c17 += times(subgroupBroadcast(a1, 4u), w0, w1, w2, w3);
        c18 += times(subgroupBroadcast(a2, 4u), w0, w1, w2, w3);
        c19 += times(subgroupBroadcast(a3, 4u), w0, w1, w2, w3);
        c20 += times(subgroupBroadcast(a0, 5u), w0, w1, w2, w3);
        c21 += times(subgroupBroadcast(a1, 5u), w0, w1, w2, w3);
        c22 += times(subgroupBroadcast(a2, 5u), w0, w1, w2, w3);
        c23 += times(subgroupBroadcast(a3, 5u), w0, w1, w2, w3);
        c24 += times(subgroupBroadcast(a0, 6u), w0, w1, w2, w3);
        c25 += times(subgroupBroadcast(a1, 6u), w0, w1, w2, w3);
        c26 += times(subgroupBroadcast(a2, 6u), w0, w1, w2, w3);
        c27 += times(subgroupBroadcast(a3, 6u), w0, w1, w2, w3);
        c28 += times(subgroupBroadcast(a0, 7u), w0, w1, w2, w3);
        c29 += times(subgroupBroadcast(a1, 7u), w0, w1, w2, w3);
        c30 += times(subgroupBroadcast(a2, 7u), w0, w1, w2, w3);
        c31 += times(subgroupBroadcast(a3, 7u), w0, w1, w2, w3);
    }

    put(replica, row0 + 0u, rows, quad, c00);
    put(replica, row0 + 1u, rows, quad, c01);
    put(replica, row0 + 2u, rows, quad, c02);
    put(replica, row0 + 3u, rows, quad, c03);
    put(replica, row0 + 4u, rows, quad, c04);
    put(replica, row0 + 5u, rows, quad, c05);
    put(replica, row0 + 6u, rows, quad, c06);
    put(replica, row0 + 7u, rows, quad, c07);
    put(replica, row0 + 8u, rows, quad, c08);
    put(replica, row0 + 9u, rows, quad, c09);
    put(replica, row0 + 10u, rows, quad, c10);
    put(replica, row0 + 11u, rows, quad, c11);
    put(replica, row0 + 12u, rows, quad, c12);
    put(replica, row0 + 13u, rows, quad, c13);
    put(replica, row0 + 14u, rows, quad, c14);
    put(replica, row0 + 15u, rows, quad, c15);
    put(replica, row0 + 16u, rows, quad, c16);
    put(replica, row0 + 17u, rows, quad, c17);
    put(replica, row0 + 18u, rows, quad, c18);
    put(replica, row0 + 19u, rows, quad, c19);
    put(replica, row0 + 20u, rows, quad, c20);
    put(replica, row0 + 21u, rows, quad, c21);
    put(replica, row0 + 22u, rows, quad, c22);
    put(replica, row0 + 23u, rows, quad, c23);
    put(replica, row0 + 24u, rows, quad, c24);
    put(replica, row0 + 25u, rows, quad, c25);
    put(replica, row0 + 26u, rows, quad, c26);
    put(replica, row0 + 27u, rows, quad, c27);
    put(replica, row0 + 28u, rows, quad, c28);
    put(replica, row0 + 29u, rows, quad, c29);
    put(replica, row0 + 30u, rows, quad, c30);
    put(replica, row0 + 31u, rows, quad, c31);
    if BIAS_GRADIENT != 0u && tile_column == 0u {
        put_bias_gradient(replica, my_row / 4u, column_sum);
    }
}
