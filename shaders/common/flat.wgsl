// use: invocation, workgroup

// The flat index of this invocation: workgroups are folded to two dimensions beyond 65,535.
fn flat(here: Invocation) -> u32 {
    return (here.group.y * here.groups.x + here.group.x) * WORKGROUP + here.index;
}
