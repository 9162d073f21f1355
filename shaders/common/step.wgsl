// use: invocation

// What changes from run to run of a pass: `program::Step`.
struct Step {
    index: u32,
    rows: u32,
    begin: u32,
    epoch: u32,
    count: u32,
    rate: f32,
    ordering: u32,
    kept: u32,
}

@group(0) @binding(0) var<uniform> now: Step;

// Batch rows of a sample.
override SEEDS: u32 = 1u;
