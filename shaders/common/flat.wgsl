// use: invocation, workgroup

// The flat index of this invocation: workgroups are folded to two dimensions beyond 65,535.
fn flat(here: Invocation, groups: vec3<u32>) -> u32 {
    return (here.group.y * groups.x + here.group.x) * WORKGROUP + here.index;
}
