// use: step, view, activations, total, normed

// channel_norm: batch normalisation by channel: a channel's statistics are over its PLACES elements in every row.
//
//     forward:    mean, var over r < step.rows and the channel's elements; inv_std = 1 / sqrt(var + epsilon);
//                 y = (x - mean) * inv_std * gamma + beta; running = momentum * running + (1 - momentum) * batch; saved = [mean; inv_std]
//     inference:  y = (x - running mean) / sqrt(running var + epsilon) * gamma + beta
//     backward:   d_gamma = sum dy * xhat; d_beta = sum dy;
//                 dx = gamma * inv_std * (dy - d_beta / n - xhat * d_gamma / n) * slope(below[r / SEEDS]), n = rows * PLACES
//
// One workgroup takes a channel of one replica: an invocation takes every WORKGROUP-th of its elements, sums meet in a binary tree (a
// fixed order). Nothing is written to the padding.
// Bytes moved an element: forward 12 in, 4 out; inference 4 in, 4 out; backward 16 (20 with a slope) in, 4 out.

alias Number = f32;

// The channel of a workgroup.
fn channel_of(here: Invocation, groups: vec3<u32>) -> u32 {
    return here.group.y * groups.x + here.group.x;
}

// How many elements of the channel there are; none beyond the last channel.
fn numbers_of(channel: u32) -> u32 {
    return select(0u, now.rows * p.places, channel < p.gamma.cols);
}

// Where element e of a channel is.
fn number_at(v: View, replica: u32, channel: u32, e: u32) -> u32 {
    return element(v, replica, e / p.places, channel * p.places + e % p.places);
}

@compute @workgroup_size(WORKGROUP)
fn forward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let channel = channel_of(here, groups);
    let replica = here.group.z;
    let count = numbers_of(channel);
    let n = f32(now.rows * p.places);
    var sum = 0.0;
    for (var e = here.index; e < count; e += WORKGROUP) {
        sum += x[number_at(p.x, replica, channel, e)];
    }
    let mean = total(here.index, vec4<f32>(sum)).x / n;
    sum = 0.0;
    for (var e = here.index; e < count; e += WORKGROUP) {
        let d = x[number_at(p.x, replica, channel, e)] - mean;
        sum += d * d;
    }
    let variance = total(here.index, vec4<f32>(sum)).x / n;
    let inv_std = 1.0 / sqrt(variance + p.epsilon);
    if count > 0u {
        let gain = inv_std * parameters[element(p.gamma, replica, 0u, channel)];
        let shift = parameters[element(p.beta, replica, 0u, channel)];
        for (var e = here.index; e < count; e += WORKGROUP) {
            y[number_at(p.y, replica, channel, e)] = (x[number_at(p.x, replica, channel, e)] - mean) * gain + shift;
        }
        if here.index == 0u {
            saved[element(p.saved, replica, 0u, channel)] = mean;
            saved[element(p.saved, replica, 1u, channel)] = inv_std;
            let m = element(p.running, replica, 0u, channel);
            let v = element(p.running, replica, 1u, channel);
            running[m] = p.momentum * running[m] + (1.0 - p.momentum) * mean;
            running[v] = p.momentum * running[v] + (1.0 - p.momentum) * variance;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn inference(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let channel = channel_of(here, groups);
    let replica = here.group.z;
    let count = numbers_of(channel);
    if count > 0u {
        let mean = known[element(p.running, replica, 0u, channel)];
        let inv_std = 1.0 / sqrt(known[element(p.running, replica, 1u, channel)] + p.epsilon);
        let gain = inv_std * parameters[element(p.gamma, replica, 0u, channel)];
        let shift = parameters[element(p.beta, replica, 0u, channel)];
        for (var e = here.index; e < count; e += WORKGROUP) {
            y[number_at(p.y, replica, channel, e)] = (x[number_at(p.x, replica, channel, e)] - mean) * gain + shift;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let channel = channel_of(here, groups);
    let replica = here.group.z;
    let count = numbers_of(channel);
    let n = f32(now.rows * p.places);
    var mean = 0.0;
    var inv_std = 0.0;
    var gain = 0.0;
    if count > 0u {
        mean = known[element(p.saved, replica, 0u, channel)];
        inv_std = known[element(p.saved, replica, 1u, channel)];
        gain = inv_std * parameters[element(p.gamma, replica, 0u, channel)];
    }
    var sums = vec4<f32>(0.0);
    for (var e = here.index; e < count; e += WORKGROUP) {
        let d = dy[number_at(p.dy, replica, channel, e)];
        sums += vec4<f32>(d, d * ((x[number_at(p.x, replica, channel, e)] - mean) * inv_std), 0.0, 0.0);
    }
    let all = total(here.index, sums);
    for (var e = here.index; e < count; e += WORKGROUP) {
        let normal = (x[number_at(p.x, replica, channel, e)] - mean) * inv_std;
        var value = gain * (dy[number_at(p.dy, replica, channel, e)] - all.x / n - normal * (all.y / n));
        if SLOPE != 0u {
            let r = e / p.places / SEEDS;
            let saved_there = below[element(p.below, replica, r, channel * p.places + e % p.places)];
            value *= slope4(vec4<f32>(saved_there)).x;
        }
        y[number_at(p.y, replica, channel, e)] = value;
    }
    if count > 0u && here.index == 0u {
        gradients[element(p.running, replica, 0u, channel)] = all.y;
        gradients[element(p.beta, replica, 0u, channel)] = all.x;
    }
}
