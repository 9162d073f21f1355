//! A team of threads that waits for work by spinning.
//!
//! A training step of a small network is some twenty kernels of ten to sixty microseconds. A general thread pool takes
//! about twenty microseconds to fork and join, which leaves nothing to gain; a team whose members spin for a moment before
//! they sleep takes under one. Every member has a share of the tasks of its own, so that a row range stays in one core's
//! cache from kernel to kernel; a share that its member has not begun (the system runs something else on that core) is taken
//! over by a member that is done.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::denormals;

/// Turns of the spin loop before a member starts to yield, and yields before it sleeps: some 25 µs and a fraction of a millisecond.
const SPINS: u32 = 2_000;
const YIELDS: u32 = 400;

/// One round of work, its lifetime erased: [`Team::run`] outlives every use of it.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    tasks: usize,
    round: u64,
}

// SAFETY: the pointer is only followed between the start and the end of `Team::run`, during which the closure is alive,
// and the closure is `Sync`.
unsafe impl Send for Job {}

struct Shared {
    job: Mutex<Option<Job>>,
    /// Counts rounds; a change is the signal to start.
    round: AtomicU64,
    /// For each share, the last round in which somebody took it.
    taken: Vec<AtomicU64>,
    /// Shares of the round that are not finished.
    pending: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    stop: AtomicBool,
    sleepers: AtomicUsize,
    bell: Condvar,
}

/// Threads that run the tasks of one round at a time, the caller among them.
pub struct Team {
    shared: Arc<Shared>,
    members: Vec<JoinHandle<()>>,
}

/// A number of threads as it is asked for: 0 is every core.
pub fn threads(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    }
}

impl Team {
    /// A team of `threads` with the caller; 0 takes every core.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let threads = self::threads(threads);
        let shared = Arc::new(Shared {
            job: Mutex::new(None),
            round: AtomicU64::new(0),
            taken: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            pending: AtomicUsize::new(0),
            panic: Mutex::new(None),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            bell: Condvar::new(),
        });
        let mut team = Team { shared, members: Vec::new() };
        for index in 1..threads {
            let shared = Arc::clone(&team.shared);
            let member = std::thread::Builder::new().name(format!("eigenlens-{index}")).spawn(move || {
                let _mode = denormals::FlushToZero::set();
                attend(&shared, index);
            })?;
            team.members.push(member);
        }
        Ok(team)
    }

    /// Threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `body(task)` for every task and returns when all are done. Task `i` belongs to the share of thread
    /// `i mod threads`. Not to be called from inside a task, nor by two threads at a time.
    pub fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        if self.members.is_empty() || tasks < 2 {
            return (0..tasks).for_each(body);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. This function doesn't return, or unwind, before every share is finished, and
        // a share is taken once in a round, so nobody follows the pointer later.
        let body: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(body) };
        let job = {
            let mut slot = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            let job = Job { body, tasks, round: shared.round.load(Ordering::Relaxed) + 1 };
            *slot = Some(job);
            shared.pending.store(shared.taken.len(), Ordering::Relaxed);
            job
        };
        // Pairs with the member that counts itself a sleeper and then looks at the round again: one of the two sees the
        // other.
        shared.round.store(job.round, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _held = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            shared.bell.notify_all();
        }
        work(shared, job, 0);
        let mut turns = 0;
        while shared.pending.load(Ordering::Acquire) > 0 {
            wait_a_little(&mut turns);
        }
        if let Some(panic) = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // No round has this number.
        self.shared.round.store(u64::MAX, Ordering::SeqCst);
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

/// Takes shares of a round that nobody has taken, the own one first, until there are none.
fn work(shared: &Shared, job: Job, index: usize) {
    let shares = shared.taken.len();
    for share in (index..shares).chain(0..index) {
        if shared.taken[share].fetch_max(job.round, Ordering::AcqRel) >= job.round {
            continue;
        }
        // SAFETY: the share was free, so `Team::run` waits for it and the closure is alive; see `Job`.
        let body = unsafe { &*job.body };
        let done = catch_unwind(AssertUnwindSafe(|| (share..job.tasks).step_by(shares).for_each(body)));
        if let Err(panic) = done {
            *shared.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        shared.pending.fetch_sub(1, Ordering::Release);
    }
}

fn wait_a_little(turns: &mut u32) {
    *turns += 1;
    if *turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

/// A member's life: wait for a round, work on it.
fn attend(shared: &Shared, index: usize) {
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
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // Perhaps of a later round than the one that was seen: a member that comes late skips what is over.
        let job = *shared.job.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = job {
            seen = job.round;
            work(shared, job, index);
        }
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
