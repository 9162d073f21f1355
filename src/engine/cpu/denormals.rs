//! Numbers below the normal range slow a processor's arithmetic about ten-fold; the engine's threads treat them as zero.

/// Sets flush-to-zero (and, on x86, denormals-are-zero) for the calling thread.
pub(super) fn flush_to_zero() {
    #[cfg(target_arch = "x86_64")]
    {
        const FLUSH_TO_ZERO: u32 = 1 << 15;
        const DENORMALS_ARE_ZERO: u32 = 1 << 6;
        let mut control = 0u32;
        // SAFETY: reads and writes this thread's MXCSR register; only the two documented mode bits change, which affect
        // how tiny results are rounded and nothing else. Every x86-64 processor has both bits.
        unsafe {
            std::arch::asm!("stmxcsr [{0}]", in(reg) &mut control, options(nostack));
            control |= FLUSH_TO_ZERO | DENORMALS_ARE_ZERO;
            std::arch::asm!("ldmxcsr [{0}]", in(reg) &control, options(nostack));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        const FLUSH_TO_ZERO: u64 = 1 << 24;
        let mut control: u64;
        // SAFETY: reads and writes this thread's FPCR register; only the FZ bit changes.
        unsafe {
            std::arch::asm!("mrs {0}, fpcr", out(reg) control, options(nomem, nostack));
            control |= FLUSH_TO_ZERO;
            std::arch::asm!("msr fpcr, {0}", in(reg) control, options(nomem, nostack));
        }
    }
}
