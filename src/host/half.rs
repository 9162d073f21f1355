//! Numbers in half precision, as files have them.

/// The number that 16 bits are in the half-precision format (5 bits of exponent, 10 of fraction).
pub fn f16(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 31, u32::from(bits) & 1023);
    let size = match exponent {
        0 => (fraction as f32 / (1 << 24) as f32).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | size)
}
