//! What the fuzzing programs share: damage, and a loop that nothing ends silently. Plain programs rather than cargo-fuzz's targets: they run
//! on stable Rust, in the CI as well, and coverage matters less where the inputs are whole files with a few bytes changed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use eigenlens::random::Random;

/// Changes some bytes.
fn damage(random: &mut Random, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let len = random.below(bytes.len() - at).min(40);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.splice(at..at, vec![random.below(256) as u8; len]).for_each(drop),
            2 => drop(bytes.drain(at..at + len)),
            3 => {
                let copy = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy).for_each(drop);
            }
            4 if !other.is_empty() => {
                let from = random.below(other.len());
                let part = other[from..].iter().copied().take(len);
                bytes.splice(at..at + len, part).for_each(drop);
            }
            5 => bytes[at] ^= 1 << random.below(8),
            _ => bytes[at] = [0, 1, 127, 128, 255, random.below(256) as u8][random.below(6)],
        }
    }
    bytes
}

/// The input that is being read, its number and since when.
type Current = Arc<Mutex<(usize, Vec<u8>, Instant)>>;

/// Ends the program where an input takes too long, until the run is over.
fn watch(current: &Current, kind: &'static str) {
    let current = Arc::downgrade(current);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let Some(current) = current.upgrade() else { return };
            let current = current.lock().expect("nothing panics while it is held");
            if current.2.elapsed() > Duration::from_secs(10) {
                let name = format!("fuzz-{}.{kind}", current.0);
                std::fs::write(&name, &current.1).expect("the folder is writable");
                println!("takes more than 10 s: {name}");
                std::process::exit(1);
            }
        }
    });
}

/// Tries `count` inputs, each what `next` makes and mostly damaged; those that panic are written to `fuzz-NUMBER.kind`. `try_out` says
/// whether an input was read. Returns the exit code.
pub fn run(
    kind: &'static str,
    count: usize,
    seed: u64,
    mut next: impl FnMut(&mut Random) -> Vec<u8>,
    try_out: impl Fn(&[u8]) -> bool,
) -> i32 {
    let mut random = Random::new(seed, 0);
    std::panic::set_hook(Box::new(|_| ()));
    let current = Current::new(Mutex::new((0, Vec::new(), Instant::now())));
    watch(&current, kind);
    let (begin, mut taken, mut panics, mut last) = (Instant::now(), 0usize, 0usize, Vec::new());
    for i in 0..count {
        let whole = next(&mut random);
        // A whole one is strange enough, now and then.
        let bytes = if random.below(2) == 0 { damage(&mut random, whole.clone(), &last) } else { whole.clone() };
        last = whole;
        *current.lock().expect("nothing panics while it is held") = (i, bytes.clone(), Instant::now());
        match catch_unwind(AssertUnwindSafe(|| try_out(&bytes))) {
            Ok(read) => taken += usize::from(read),
            Err(_) => {
                panics += 1;
                let name = format!("fuzz-{i}.{kind}");
                std::fs::write(&name, &bytes).expect("the folder is writable");
                println!("panic: {name}");
            }
        }
        if (i + 1) % 1_000_000 == 0 {
            let rate = (i + 1) as f64 / begin.elapsed().as_secs_f64();
            println!("{} inputs, {taken} read, {panics} panics, {rate:.0} a second", i + 1);
        }
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    println!("{kind}: {count} inputs of seed {seed}: {taken} read, {panics} panics, {rate:.0} a second");
    i32::from(panics > 0)
}
