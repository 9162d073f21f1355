// Which invocation of a dispatch this is; the grid's z is the replica. (How many workgroups there are is an argument of its own:
// for HLSL naga replaces it with a constant, which it can't do inside a struct.)
struct Invocation {
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
}
