// use: step, view, plane, activations, total, normed

// batch_norm: batch normalisation over the batch axis, as Keras computes it (biased variance everywhere).
//
//     forward:    mean, var over r < step.rows; inv_std = 1 / sqrt(var + epsilon); y = (x - mean) * inv_std * gamma + beta;
//                 running = momentum * running + (1 - momentum) * batch; saved = [mean; inv_std]
//     inference:  y = (x - running mean) / sqrt(running var + epsilon) * gamma + beta
//     backward:   d_gamma = sum dy * xhat; d_beta = sum dy;
//                 dx = gamma * inv_std * (dy - d_beta / n - xhat * d_gamma / n) * slope(below[r / SEEDS])
//
// forward, backward: one workgroup takes four columns of one replica: an invocation takes every WORKGROUP-th row, sums meet
// in a binary tree (a fixed order). inference: workgroups of 8 vec4s by 8 rows.
// Bytes moved a vec4: forward 48 in, 16 out; backward 64 (80 with a slope) in, 16 out; inference 16 in, 16 out.

alias Number = vec4<f32>;

@compute @workgroup_size(WORKGROUP)
fn forward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = here.group.y * groups.x + here.group.x;
    let inside = 4u * quad < p.x.cols;
    let rows = select(0u, now.rows, inside);
    let n = f32(now.rows);
    var sum = vec4<f32>(0.0);
    for (var r = here.index; r < rows; r += WORKGROUP) {
        sum += x[at(p.x, here.group.z, r, quad)];
    }
    let mean = total(here.index, sum) / n;
    sum = vec4<f32>(0.0);
    for (var r = here.index; r < rows; r += WORKGROUP) {
        let d = x[at(p.x, here.group.z, r, quad)] - mean;
        sum += d * d;
    }
    let variance = total(here.index, sum) / n;
    let inv_std = 1.0 / sqrt(variance + p.epsilon);
    if inside {
        let gain = inv_std * parameters[at(p.gamma, here.group.z, 0u, quad)];
        let shift = parameters[at(p.beta, here.group.z, 0u, quad)];
        for (var r = here.index; r < rows; r += WORKGROUP) {
            let value = (x[at(p.x, here.group.z, r, quad)] - mean) * gain + shift;
            y[at(p.y, here.group.z, r, quad)] = keep(value, quad, p.x.cols);
        }
        if here.index == 0u {
            saved[at(p.saved, here.group.z, 0u, quad)] = keep(mean, quad, p.x.cols);
            saved[at(p.saved, here.group.z, 1u, quad)] = keep(inv_std, quad, p.x.cols);
            let m = at(p.running, here.group.z, 0u, quad);
            let v = at(p.running, here.group.z, 1u, quad);
            let fresh = 1.0 - p.momentum;
            running[m] = keep(p.momentum * running[m] + fresh * mean, quad, p.x.cols);
            running[v] = keep(p.momentum * running[v] + fresh * variance, quad, p.x.cols);
        }
    }
}

@compute @workgroup_size(8, 8)
fn inference(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.y); r < now.rows; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        if 4u * quad < p.x.cols {
            let mean = known[at(p.running, here.group.z, 0u, quad)];
            let inv_std = 1.0 / sqrt(known[at(p.running, here.group.z, 1u, quad)] + p.epsilon);
            let gain = inv_std * parameters[at(p.gamma, here.group.z, 0u, quad)];
            value = (x[at(p.x, here.group.z, r, quad)] - mean) * gain + parameters[at(p.beta, here.group.z, 0u, quad)];
        }
        y[at(p.y, here.group.z, r, quad)] = keep(value, quad, p.y.cols);
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = here.group.y * groups.x + here.group.x;
    let inside = 4u * quad < p.x.cols;
    let rows = select(0u, now.rows, inside);
    let n = f32(now.rows);
    var mean = vec4<f32>(0.0);
    var inv_std = vec4<f32>(0.0);
    var gain = vec4<f32>(0.0);
    if inside {
        mean = known[at(p.saved, here.group.z, 0u, quad)];
        inv_std = known[at(p.saved, here.group.z, 1u, quad)];
        gain = inv_std * parameters[at(p.gamma, here.group.z, 0u, quad)];
    }
    var sum = vec4<f32>(0.0);
    var product = vec4<f32>(0.0);
    for (var r = here.index; r < rows; r += WORKGROUP) {
        let d = dy[at(p.dy, here.group.z, r, quad)];
        sum += d;
        product += d * (x[at(p.x, here.group.z, r, quad)] - mean) * inv_std;
    }
    let d_beta = total(here.index, sum);
    let d_gamma = total(here.index, product);
    for (var r = here.index; r < rows; r += WORKGROUP) {
        let normal = (x[at(p.x, here.group.z, r, quad)] - mean) * inv_std;
        var value = gain * (dy[at(p.dy, here.group.z, r, quad)] - d_beta / n - normal * (d_gamma / n));
        if SLOPE != 0u {
            value *= slope4(below[at(p.below, here.group.z, r / SEEDS, quad)]);
        }
        y[at(p.y, here.group.z, r, quad)] = keep(value, quad, p.x.cols);
    }
    if inside && here.index == 0u {
        gradients[at(p.running, here.group.z, 0u, quad)] = keep(d_gamma, quad, p.x.cols);
        gradients[at(p.beta, here.group.z, 0u, quad)] = keep(d_beta, quad, p.x.cols);
    }
}
