// use: invocation, view

// Workgroups of 8 vec4s by 8 rows over a matrix: the vec4 of a row that an invocation takes, its first row (beyond all rows
// where the vec4 lies beyond the matrix), and how far it is to the next.
fn quad_of(here: Invocation) -> u32 {
    return here.group.x * 8u + here.local.x;
}

fn first_row(here: Invocation, v: View) -> u32 {
    return select(0xffffffffu, here.group.y * 8u + here.local.y, quad_of(here) < v.ld / 4u);
}

fn row_step(groups: vec3<u32>) -> u32 {
    return 8u * groups.y;
}
