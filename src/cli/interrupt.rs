//! Ctrl-C, and what is said then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::say;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED_CODE: i32 = 130;

/// Whether a stop was heard by somebody who writes what there is.
static HEARD: AtomicBool = AtomicBool::new(false);

/// How long whatever is under way may take after a stop was asked for.
const PATIENCE: Duration = Duration::from_millis(800);

/// From now on the first Ctrl-C (or SIGTERM) asks for a clean stop, which comes within a second: where nobody has heard it by then the
/// program ends with what is kept. The second ends it at once.
pub fn catch_interrupt() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let handler = move || {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED_CODE);
            }
            say("stopping (Ctrl-C again to quit at once)");
            std::thread::spawn(|| {
                std::thread::sleep(PATIENCE);
                if !HEARD.load(Ordering::SeqCst) {
                    say(&farewell());
                    std::process::exit(1);
                }
            });
        };
        // Without a handler Ctrl-C ends the program at once: a loss of comfort, not of correctness.
        let _ = ctrlc::set_handler(handler);
    });
}

/// Whether a stop was asked for.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Says that whoever asked for the stop will be told by the command itself.
pub fn heard() {
    HEARD.store(true, Ordering::SeqCst);
}

/// Says how a run ends that is stopped, after writing what is done.
static FAREWELL: Mutex<Option<Box<dyn Fn() -> String + Send>>> = Mutex::new(None);

/// What is said of a run that is stopped.
pub fn set_farewell(say: impl Fn() -> String + Send + 'static) {
    *FAREWELL.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Box::new(say));
}

/// Writes what is done, and says how to go on.
pub fn farewell() -> String {
    let say = FAREWELL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    say.as_ref().map_or_else(|| "stopped; nothing was written".into(), |say| say())
}
