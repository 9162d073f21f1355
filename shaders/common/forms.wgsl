// Which product, and what is fused with it: kernels/gemm.rs.
const NT: u32 = 0u;
const NN: u32 = 1u;
const TN: u32 = 2u;
override FORM: u32 = 0u;
override SPECTRAL: u32 = 0u;
override BIAS: u32 = 0u;
override PRE: u32 = 0u;
// 0: none, 1: in out's buffer, 2: in extra.
override BIAS_GRADIENT: u32 = 0u;
