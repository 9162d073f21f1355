// use: step, view, plane, window

// max_pool: the largest element that a window sees, and the products with that choice. Rows are [channel, spatial].
//
//     forward:  out[r, c, o] = max over k of x[r, c, seen(o, k)]; winner = the first such k. A NaN wins.
//     largest:  the same without the winner
//     push:     out[r, c, o] = x[r, c, seen(o, winner[r / SEEDS, c, o])]
//     pull:     out[r, c, i] = sum of x[r, c, o] over the o whose winner sees i          r < step.rows * SEEDS
//
// Workgroups of 8 vec4s by 8 rows of out. Bytes moved, an element of out: 4 a tap (8 in pull), 4 to 8 out.

struct Params {
    window: Window,
    x: View,
    out: View,
    winner: View,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> winner: array<f32>;
@group(0) @binding(4) var<storage, read_write> won: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

struct Largest {
    value: f32,
    tap: u32,
}

/// Of what output element c of row r sees.
fn largest_of(here: Invocation, r: u32, c: u32) -> Largest {
    let outputs = elements(p.window.output);
    var found = Largest(0.0, NONE);
    for (var tap = 0u; tap < elements(p.window.kernel); tap += 1u) {
        let source = seen(p.window, c % outputs, tap);
        if source == NONE {
            continue;
        }
        let candidate = x[element(p.x, here.group.z, r, c / outputs * elements(p.window.input) + source)];
        // A NaN is not less than anything, and nothing replaces it.
        if found.tap == NONE || (found.value == found.value && !(candidate <= found.value)) {
            found = Largest(candidate, tap);
        }
    }
    return found;
}

@compute @workgroup_size(8, 8)
fn forward(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        var first = vec4<f32>(0.0);
        for (var i = 0u; i < 4u && 4u * quad + i < p.out.cols; i += 1u) {
            let found = largest_of(here, r, 4u * quad + i);
            value[i] = found.value;
            first[i] = select(f32(found.tap), 0.0, found.tap == NONE);
        }
        won[at(p.winner, here.group.z, r, quad)] = first;
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}

@compute @workgroup_size(8, 8)
fn largest(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        for (var i = 0u; i < 4u && 4u * quad + i < p.out.cols; i += 1u) {
            value[i] = largest_of(here, r, 4u * quad + i).value;
        }
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}

@compute @workgroup_size(8, 8)
fn push(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    let inputs = elements(p.window.input);
    let outputs = elements(p.window.output);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            let c = 4u * quad + i;
            if c >= p.out.cols {
                break;
            }
            let tap = u32(winner[element(p.winner, here.group.z, r / SEEDS, c)]);
            let source = seen(p.window, c % outputs, tap);
            if source != NONE {
                value[i] = x[element(p.x, here.group.z, r, c / outputs * inputs + source)];
            }
        }
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}

@compute @workgroup_size(8, 8)
fn pull(here: Invocation, @builtin(num_workgroups) groups: vec3<u32>) {
    let quad = quad_of(here);
    let inputs = elements(p.window.input);
    let outputs = elements(p.window.output);
    for (var r = first_row(here, p.out); r < now.rows * SEEDS; r += row_step(groups)) {
        var value = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i += 1u) {
            let c = 4u * quad + i;
            if c >= p.out.cols {
                break;
            }
            var sum = 0.0;
            for (var tap = 0u; tap < elements(p.window.kernel); tap += 1u) {
                let o = seeing(p.window, c % inputs, tap);
                if o == NONE {
                    continue;
                }
                let to = c / inputs * outputs + o;
                if winner[element(p.winner, here.group.z, r / SEEDS, to)] == f32(tap) {
                    sum += x[element(p.x, here.group.z, r, to)];
                }
            }
            value[i] = sum;
        }
        out[at(p.out, here.group.z, r, quad)] = value;
    }
}
