//! Where a table's rows come from. Every format hands them out in blocks; threads go through the blocks, and what they find is put
//! together in the order of the rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use super::block::Block;
use crate::Result;
use crate::host::threads;

/// Blocks of rows, from the first to the last.
pub(in crate::data) type Blocks<'a> = Box<dyn Iterator<Item = Result<Block>> + Send + 'a>;

/// A file of rows and named columns, which can be gone through as often as need be.
pub(in crate::data) trait Source: Sync {
    /// For messages.
    fn path(&self) -> &Path;

    /// What the columns are called, in their order.
    fn names(&self) -> &[String];

    /// Begins anew at the first row.
    fn blocks(&self) -> Result<Blocks<'_>>;

    /// What a person calls the place of a row: `line 3`. `at`: what its block says of it.
    fn place(&self, at: u64) -> String;

    /// What of the file a person should know.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many of the first columns are inputs by themselves; the others are only targets and weights by name.
    fn inputs(&self) -> usize {
        self.names().len()
    }
}

/// Makes something of every block and takes it, in the order of the rows. Blocks are worked on by all cores; at the first error it ends.
pub(super) fn scan<P: Send>(
    source: &dyn Source,
    of_block: impl Fn(&Block) -> Result<P> + Sync,
    mut take: impl FnMut(P) -> Result<()>,
) -> Result<()> {
    let mut blocks = source.blocks()?;
    let Some(first) = blocks.next().transpose()? else { return Ok(()) };
    take(of_block(&first)?)?;
    drop(first);
    let Some(second) = blocks.next() else { return Ok(()) };
    let workers = threads(0);
    let numbered = Mutex::new((0usize, std::iter::once(second).chain(blocks)));
    let (sender, receiver) = sync_channel::<(usize, Result<P>)>(workers);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, numbered, of_block) = (sender.clone(), &numbered, &of_block);
            scope.spawn(move || {
                loop {
                    // Reading on is done by who needs a block; a panic of another worker is that one's to tell.
                    let mut next = numbered.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(block) = next.1.next() else { return };
                    let number = next.0;
                    next.0 += 1;
                    drop(next);
                    let done = block.and_then(|block| of_block(&block));
                    // Nobody listens any more after an error.
                    if sender.send((number, done)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        // Moved in here, so that it is gone, and the workers with it, as soon as something is wrong.
        let receiver = receiver;
        while let Ok((number, done)) = receiver.recv() {
            waiting.insert(number, done);
            while let Some(done) = waiting.remove(&due) {
                take(done?)?;
                due += 1;
            }
        }
        Ok(())
    })
}
