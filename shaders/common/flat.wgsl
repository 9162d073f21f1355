// use: workgroup

// The flat index of this invocation: workgroups are folded to two dimensions beyond 65,535.
fn flat(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * WORKGROUP + local;
}
