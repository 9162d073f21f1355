// Invocations of a workgroup in one dimension.
override WORKGROUP: u32 = 64u;
