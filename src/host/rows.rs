//! Rows shared among threads, and loops in the widest vectors there are.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::real::Real;
use super::team::{Disjoint, Team};

/// Elements below which another thread's start (about a microsecond) costs more than it gains.
const PARALLEL_ELEMENTS: usize = 1 << 12;

/// Calls `body(first row, rows)` for ranges that cover all rows, on several threads when there is work enough (`work` in
/// loads, roughly). A range doesn't depend on the work, so that a thread finds in its cache what it wrote before.
pub fn split_rows(team: Option<&Team>, work: usize, rows: usize, body: impl Fn(usize, usize) + Sync) {
    let Some(team) = team.filter(|team| team.threads() > 1 && work >= PARALLEL_ELEMENTS && rows > 1) else {
        return body(0, rows);
    };
    let chunk = rows.div_ceil(team.threads());
    team.run(rows.div_ceil(chunk), &|i| body(i * chunk, chunk.min(rows - i * chunk)));
}

/// [`split_rows`] for a matrix that is written: calls `body(first row, rows of out)`. The ranges depend on the
/// number of threads alone, so that two runs with as many threads give the same bits.
pub fn for_rows<T: Real>(
    team: Option<&Team>,
    work: usize,
    out: &mut [T],
    ld: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = out.len() / ld.max(1);
    let out = Disjoint::new(out);
    // SAFETY: the ranges of rows are disjoint.
    split_rows(team, work, rows, |first, rows| body(first, unsafe { out.part(first * ld, rows * ld) }));
}

/// Calls `body(task, room)` for every task, on several threads where there is work enough; the tasks of one thread share a room of
/// `room` elements in `scratch`, which grows when it must and holds anything. What a task does can't depend on the threads.
pub fn for_tasks<T: Real>(
    team: Option<&Team>,
    work: usize,
    tasks: usize,
    (scratch, room): (&mut Vec<T>, usize),
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let threads = team.map_or(1, |team| team.threads().min(tasks));
    if scratch.len() < threads * room {
        scratch.resize(threads * room, T::ZERO);
    }
    for_tasks_in(team, work, tasks, (scratch, room), body);
}

/// [`for_tasks`] with the rooms of all threads given.
pub fn for_tasks_in<T: Real>(
    team: Option<&Team>,
    work: usize,
    tasks: usize,
    (rooms, room): (&mut [T], usize),
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let team = team.filter(|team| team.threads() > 1 && work >= PARALLEL_ELEMENTS && tasks > 1);
    let threads = team.map_or(1, |team| team.threads().min(tasks));
    let rooms = Disjoint::new(&mut rooms[..threads * room]);
    // Every thread has a share of neighbouring tasks, for what it wrote before is in its cache, and takes them from the front; one that is
    // done helps the others with their last ones.
    let share = |thread: usize| Range { start: thread * tasks / threads, end: (thread + 1) * tasks / threads };
    let left: Vec<Mutex<Range<usize>>> = (0..threads).map(|thread| Mutex::new(share(thread))).collect();
    let take = |share: usize, own: bool| {
        let mut left = left[share].lock().unwrap_or_else(PoisonError::into_inner);
        if own { left.next() } else { left.next_back() }
    };
    let run = |thread: usize| {
        // SAFETY: every share has the room of its number.
        let room = unsafe { rooms.part(thread * room, room) };
        for share in (thread..threads).chain(0..thread) {
            while let Some(task) = take(share, share == thread) {
                body(task, room);
            }
        }
    };
    match team {
        Some(team) => team.run(threads, &run),
        None => run(0),
    }
}

/// Runs a loop with the widest vectors that this processor has.
#[inline(always)]
pub fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

/// The same for work that is written in vectors.
pub fn widest<W: pulp::WithSimd>(work: W) -> W::Output {
    pulp::Arch::new().dispatch(work)
}

/// `sums[c] = Σ_r values[r, c]`, rows in order.
pub fn column_sums<T: Real>(values: &[T], ld: usize, rows: usize, sums: &mut [T]) {
    sums.fill(T::ZERO);
    vectorised(|| {
        for row in values.chunks_exact(ld).take(rows) {
            sums.iter_mut().zip(row).for_each(|(s, &x)| *s += x);
        }
    });
}
