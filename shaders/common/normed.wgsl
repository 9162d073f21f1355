// use: view

// What batch normalisation reads and writes. A file that uses this says what a Number is: an f32, or four of them.

struct Params {
    x: View,
    dy: View,
    y: View,
    gamma: View,
    beta: View,
    saved: View,
    running: View,
    below: View,
    momentum: f32,
    epsilon: f32,
    // Elements of a channel in a row; not used where each column has statistics of its own.
    places: u32,
    pad0: u32,
}

@group(0) @binding(1) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> x: array<Number>;
@group(0) @binding(3) var<storage, read> parameters: array<Number>;
@group(0) @binding(4) var<storage, read_write> y: array<Number>;
@group(0) @binding(5) var<storage, read_write> saved: array<Number>;
@group(0) @binding(6) var<storage, read_write> running: array<Number>;
// inference: the running statistics; backward: the saved ones.
@group(0) @binding(7) var<storage, read> known: array<Number>;
@group(0) @binding(8) var<storage, read> dy: array<Number>;
@group(0) @binding(9) var<storage, read> below: array<Number>;
// d_gamma and d_beta.
@group(0) @binding(10) var<storage, read_write> gradients: array<Number>;
