//! Panics of other crates that are what they say of a lost device or a damaged file: caught, and nothing is printed of them.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught, so that nothing is to be printed about it.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Has panics that [`quietly`] catches print nothing; all others go where they went before.
fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                before(panic);
            }
        }));
    });
}

/// What `body` returns, or what it panicked with.
pub fn quietly<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    quieten();
    let outer = CAUGHT.replace(true);
    let done = catch_unwind(AssertUnwindSafe(body));
    CAUGHT.set(outer);
    done.map_err(|panic| said(&*panic))
}

/// A panic's message as one line.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let lines = text.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(quietly(|| 3), Ok(3));
        let lost = || -> u32 { panic!("Error in Device::poll:\n\n  {}", "Parent device is lost") };
        assert_eq!(quietly(lost), Err("Error in Device::poll: Parent device is lost".into()));
        assert!(!CAUGHT.get());
    }
}
