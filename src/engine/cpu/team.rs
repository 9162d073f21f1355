//! A team of threads that waits for work by spinning.
//!
//! A training step of a small network is some twenty kernels of ten to sixty microseconds. A general thread pool takes
//! about twenty microseconds to fork and join, which leaves nothing to gain; a team whose members spin for a moment before
//! they sleep takes under one. Tasks go to fixed members, so that a row range stays in one core's cache from kernel to
//! kernel.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::denormals;

/// Turns of the spin loop before a member starts to yield, and yields before it sleeps: some 50 µs and a millisecond.
const SPINS: u32 = 4_000;
const YIELDS: u32 = 400;

/// One round of work, its lifetime erased: [`Team::run`] outlives every use of it.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

// SAFETY: the pointer is only followed between the start and the end of `Team::run`, during which the closure is alive,
// and the closure is `Sync`.
unsafe impl Send for Job {}

struct Shared {
    job: Mutex<Option<Job>>,
    /// Counts rounds; a change is the signal to start.
    round: AtomicU64,
    /// Members that have not finished the round.
    busy: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    bell: Condvar,
}

/// Threads that run the tasks of one round at a time, the caller among them.
pub struct Team {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<()>>,
}

impl Team {
    /// A team of `threads` with the caller; 0 takes every core.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        let shared = Arc::new(Shared {
            job: Mutex::new(None),
            round: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            bell: Condvar::new(),
        });
        let mut team = Team { shared, members: Vec::new() };
        for index in 1..threads {
            let shared = Arc::clone(&team.shared);
            let member = std::thread::Builder::new().name(format!("eigenlens-{index}")).spawn(move || {
                let _mode = denormals::FlushToZero::set();
                attend(&shared, index, threads);
            })?;
            team.members.push(member);
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `body(task)` for every task, task `i` on thread `i mod threads`, and returns when all are done. Not to be
    /// called from inside a task.
    pub fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        if self.members.is_empty() || tasks < 2 {
            return (0..tasks).for_each(body);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. This function doesn't return, or unwind, before every member has finished.
        let body: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(body) };
        *shared.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(Job { body, tasks });
        shared.busy.store(self.members.len(), Ordering::Relaxed);
        // Pairs with the member that counts itself a sleeper and then looks at the round again: one of the two sees the
        // other.
        shared.round.fetch_add(1, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _held = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            shared.bell.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| share(Job { body, tasks }, 0, self.threads())));
        let mut turns = 0;
        while shared.busy.load(Ordering::Acquire) > 0 {
            wait_a_little(&mut turns);
        }
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!shared.panicked.swap(false, Ordering::Relaxed), "a task panicked on another thread");
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.round.fetch_add(1, Ordering::SeqCst);
        {
            let _held = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.bell.notify_all();
        }
        for member in self.members.drain(..) {
            // A member catches its tasks' panics, so joining can't fail; dropping must not panic in any case.
            let _ = member.join();
        }
    }
}

/// The tasks of one thread.
fn share(job: Job, index: usize, threads: usize) {
    // SAFETY: see `Job`.
    let body = unsafe { &*job.body };
    (index..job.tasks).step_by(threads).for_each(body);
}

fn wait_a_little(turns: &mut u32) {
    *turns += 1;
    if *turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// A member's life: wait for a round, do its share, report.
fn attend(shared: &Shared, index: usize, threads: usize) {
    let mut seen = 0;
    loop {
        let mut turns = 0;
        while shared.round.load(Ordering::Acquire) == seen {
            if turns < SPINS + YIELDS {
                wait_a_little(&mut turns);
                continue;
            }
            let mut job = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            shared.sleepers.fetch_add(1, Ordering::SeqCst);
            while shared.round.load(Ordering::SeqCst) == seen {
                job = shared.bell.wait(job).unwrap_or_else(PoisonError::into_inner);
            }
            shared.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
        seen += 1;
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let job = *shared.job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = job
            && catch_unwind(AssertUnwindSafe(|| share(job, index, threads))).is_err()
        {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.busy.fetch_sub(1, Ordering::Release);
    }
}

/// Memory that several tasks write in disjoint parts.
pub struct Disjoint<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: `part` hands out parts that its caller promises to be disjoint.
unsafe impl<T: Send> Sync for Disjoint<T> {}

impl<T> Disjoint<T> {
    pub fn new(values: &mut [T]) -> Self {
        Disjoint { start: values.as_mut_ptr(), len: values.len() }
    }

    /// Elements `first..first + len`.
    ///
    /// # Safety
    /// While a part is in use no other part overlaps it, and the slice given to [`Disjoint::new`] is alive and not used.
    #[allow(clippy::mut_from_ref, reason = "that is what the promise of disjoint parts is for")]
    pub unsafe fn part(&self, first: usize, len: usize) -> &mut [T] {
        assert!(first + len <= self.len, "invariant: a part lies inside its slice");
        // SAFETY: inside the slice by the assertion, unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(first), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_every_round() {
        let team = Team::new(3).expect("threads start");
        for tasks in [0, 1, 2, 3, 4, 17] {
            for _ in 0..200 {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                team.run(tasks, &|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
        // Long enough for the members to fall asleep: they must wake again.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let sum = AtomicUsize::new(0);
        team.run(9, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 36);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_lives_on() {
        let team = Team::new(2).expect("threads start");
        for bad in [0, 1] {
            let run = AssertUnwindSafe(|| team.run(2, &|i| assert_ne!(i, bad)));
            assert!(catch_unwind(run).is_err());
        }
        team.run(2, &|_| {});
    }
}
