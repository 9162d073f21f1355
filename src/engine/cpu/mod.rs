//! The CPU engine: runs the kernels' twins, in `f32` to compute and in `f64` as the oracle of the tests.

use std::sync::Arc;

use super::memory::refuse_beyond_host_memory;
use super::{Session, write_constants};
use crate::host::{Disjoint, FlushToZero, Real, Team};
use crate::kernels::Program;
use crate::kernels::twins::{Context, Slot};
use crate::program::{Buffer, Buffers, Element, Pass, PassId, Scope, Step};
use crate::{Error, Result};

/// One replica's memory.
struct Replica<T> {
    slots: Vec<Slot<T>>,
    scratch: Vec<T>,
}

impl<T: Real> Replica<T> {
    /// Writes NaN over a temporary matrix, but for its padding.
    fn poison(&mut self, buffers: &Buffers, buffer: Buffer) {
        let spec = buffers.spec(buffer);
        let (Some(rows), Slot::Float(values)) = (spec.temporary, &mut self.slots[buffers.home(buffer).0 as usize])
        else {
            return;
        };
        values[..spec.len].chunks_mut(rows.ld).for_each(|row| row[..rows.cols].fill(T::of(f64::NAN)));
    }
}

/// A program in host memory.
///
/// Replicas are independent, so with at least as many replicas as threads every thread runs whole passes for replicas of
/// its own (no synchronisation inside a step, and a replica's data stay in one core's cache); otherwise the threads share
/// the rows of each kernel. With as many threads the numbers are the same to the bit in every run.
pub struct CpuSession<T> {
    program: Program,
    replicas: Vec<Replica<T>>,
    shared: Vec<Slot<T>>,
    team: Team,
}

impl<T: Real> CpuSession<T> {
    /// Allocates a program's buffers; `threads` 0 takes every core.
    pub fn new(mut program: Program, threads: usize) -> Result<Self> {
        refuse_beyond_host_memory(&program, size_of::<T>() as u64, T::held(&Arc::default()).is_some())?;
        let team = Team::new(threads)
            .map_err(|e| Error::Device(format!("cannot start the CPU engine's threads: {e}; try --threads 1")))?;
        let declared = &program.buffers;
        let slots = |scope| {
            let each = (0..).map(Buffer).zip(&declared.specs);
            each.map(|(b, spec)| if declared.is_home(b) { Slot::zeros(spec, scope) } else { Slot::Absent })
                .collect::<Vec<_>>()
        };
        let replicas = (0..program.buffers.replicas)
            .map(|_| Replica { slots: slots(Scope::Replica), scratch: Vec::new() })
            .collect();
        let shared = slots(Scope::Shared);
        let constants = program.buffers.take_contents();
        let mut session = CpuSession { program, replicas, shared, team };
        write_constants(&mut session, constants)?;
        Ok(session)
    }

    /// The threads it computes with.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    fn slot(&mut self, buffer: Buffer, replica: usize) -> &mut Slot<T> {
        let home = self.program.buffers.home(buffer).0 as usize;
        match self.program.buffers.spec(buffer).scope {
            Scope::Shared => &mut self.shared[home],
            Scope::Replica => &mut self.replicas[replica].slots[home],
        }
    }

    /// The replicas that a write addresses; a shared buffer is written once.
    fn addressed(&self, buffer: Buffer, replica: Option<usize>) -> std::ops::Range<usize> {
        match (self.program.buffers.spec(buffer).scope, replica) {
            (Scope::Shared, _) => 0..1,
            (_, Some(replica)) => replica..replica + 1,
            (_, None) => 0..self.program.buffers.replicas,
        }
    }

    fn floats(&mut self, buffer: Buffer, replica: usize) -> &mut [T] {
        let slot = self.slot(buffer, replica);
        if let Slot::Held(values) = slot {
            *slot = Slot::Float(values.to_vec());
        }
        match slot {
            Slot::Float(values) => values,
            _ => panic!("invariant: buffer {} holds floats", buffer.0),
        }
    }

    fn words(&mut self, buffer: Buffer, replica: usize) -> &mut [u32] {
        let slot = self.slot(buffer, replica);
        if let Slot::HeldWords(values) = slot {
            *slot = Slot::Word(values.to_vec());
        }
        match slot {
            Slot::Word(values) => values,
            _ => panic!("invariant: buffer {} holds words", buffer.0),
        }
    }
}

impl<T: Real> Session for CpuSession<T> {
    fn write(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[f64]) -> Result<()> {
        debug_assert_eq!(self.program.buffers.spec(buffer).element, Element::Float);
        for r in self.addressed(buffer, replica) {
            let out = &mut self.floats(buffer, r)[offset..offset + data.len()];
            out.iter_mut().zip(data).for_each(|(out, &x)| *out = T::of(x));
        }
        Ok(())
    }

    fn hold(&mut self, buffer: Buffer, values: &Arc<Vec<f32>>) -> Result<bool> {
        let fits = values.len() == self.program.buffers.spec(buffer).len;
        let Some(values) = T::held(values).filter(|_| fits) else { return Ok(false) };
        for replica in self.addressed(buffer, None) {
            *self.slot(buffer, replica) = Slot::Held(Arc::clone(&values));
        }
        Ok(true)
    }

    fn write_words(&mut self, buffer: Buffer, replica: Option<usize>, offset: usize, data: &[u32]) -> Result<()> {
        for r in self.addressed(buffer, replica) {
            self.words(buffer, r)[offset..offset + data.len()].copy_from_slice(data);
        }
        Ok(())
    }

    fn hold_words(&mut self, buffer: Buffer, words: &Arc<Vec<u32>>) -> Result<bool> {
        let spec = self.program.buffers.spec(buffer);
        let fits = words.len() == spec.len && spec.scope == Scope::Shared;
        if fits {
            *self.slot(buffer, 0) = Slot::HeldWords(Arc::clone(words));
        }
        Ok(fits)
    }

    fn read(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<f64>> {
        let values = match self.slot(buffer, replica) {
            Slot::Held(values) => values,
            _ => &*self.floats(buffer, replica),
        };
        Ok(values[offset..offset + len].iter().map(|x| x.to_f64()).collect())
    }

    fn read_words(&mut self, buffer: Buffer, replica: usize, offset: usize, len: usize) -> Result<Vec<u32>> {
        Ok(self.words(buffer, replica)[offset..offset + len].to_vec())
    }

    fn run(&mut self, pass: PassId, steps: &[Step]) -> Result<()> {
        let CpuSession { program, replicas, shared, team } = self;
        let _mode = FlushToZero::set();
        let (buffers, Pass { ops, freed, .. }) = (&program.buffers, &program.passes[pass.0]);
        let freed: &[(usize, Buffer)] = if program.poison { freed } else { &[] };
        let run = |replica: &mut Replica<T>, team: Option<&Team>| {
            for step in steps {
                let mut freed = freed.iter().peekable();
                for (i, op) in ops.iter().enumerate() {
                    while let Some(&(_, buffer)) = freed.next_if(|&&(before, _)| before == i) {
                        replica.poison(buffers, buffer);
                    }
                    let Replica { slots, scratch } = replica;
                    op.twin(&mut Context { replica: slots, shared, buffers, step, scratch, team });
                }
            }
        };
        // Whole rounds of one replica a thread; what is left over shares its kernels' rows.
        let threads = team.threads();
        let alone = replicas.len() / threads * threads;
        let (first, rest) = replicas.split_at_mut(alone);
        let first = Disjoint::new(first);
        // SAFETY: every task takes the one replica of its number.
        team.run(alone, &|i| run(&mut unsafe { first.part(i, 1) }[0], None));
        rest.iter_mut().for_each(|replica| run(replica, Some(team)));
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }
}
