//! Numbers below the normal range slow a processor's arithmetic about ten-fold; the engine's threads treat them as zero.

/// While it lives, the calling thread flushes denormal numbers to zero (results, and on x86 operands too).
pub struct FlushToZero {
    before: Control,
}

#[cfg(target_arch = "x86_64")]
type Control = u32;
#[cfg(target_arch = "aarch64")]
type Control = u64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Control = ();

impl FlushToZero {
    pub fn set() -> Self {
        let before = read();
        write(flushing(before));
        FlushToZero { before }
    }
}

impl Drop for FlushToZero {
    fn drop(&mut self) {
        write(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
fn flushing(control: Control) -> Control {
    const FLUSH_TO_ZERO: u32 = 1 << 15;
    const DENORMALS_ARE_ZERO: u32 = 1 << 6;
    control | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO
}

#[cfg(target_arch = "x86_64")]
fn read() -> Control {
    let mut control = 0;
    // SAFETY: stores this thread's MXCSR register into a local variable.
    unsafe { std::arch::asm!("stmxcsr [{0}]", in(reg) &mut control, options(nostack)) };
    control
}

#[cfg(target_arch = "x86_64")]
fn write(control: Control) {
    // SAFETY: the value is one that was read, with at most the two mode bits added that every x86-64 processor has; they
    // affect how tiny numbers are treated and nothing else.
    unsafe { std::arch::asm!("ldmxcsr [{0}]", in(reg) &control, options(nostack)) };
}

#[cfg(target_arch = "aarch64")]
fn flushing(control: Control) -> Control {
    control | 1 << 24
}

#[cfg(target_arch = "aarch64")]
fn read() -> Control {
    let control;
    // SAFETY: reads this thread's FPCR register.
    unsafe { std::arch::asm!("mrs {0}, fpcr", out(reg) control, options(nomem, nostack)) };
    control
}

#[cfg(target_arch = "aarch64")]
fn write(control: Control) {
    // SAFETY: the value is one that was read, with at most the FZ bit added.
    unsafe { std::arch::asm!("msr fpcr, {0}", in(reg) control, options(nomem, nostack)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn flushing(control: Control) -> Control {
    control
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn read() -> Control {}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn write(_: Control) {}
