//! A run is never lost: folders whose results are those of one run, locks, and checkpoints.
//!
//! A command that leaves several files opens a [`Folder`]: nobody else writes there meanwhile, the new files are gathered out of
//! sight, and they take the places of the old ones together. What takes long keeps what it has done in a
//! [`Journal`].
//!
//! ```text
//! DIR/model.safetensors …        results, of one run
//! DIR/unfinished/.lock           the number of the process that writes here
//! DIR/unfinished/.new/           its results, until all are there
//! DIR/unfinished/.swap           which of them take whose places: a swap that was begun
//! DIR/unfinished/train/run.json  what was started (one folder for each command), and
//! DIR/unfinished/train/*.state   what it has done
//! ```

mod folder;
mod journal;
mod lock;
mod state;

pub use folder::{Folder, settle};
pub use journal::{Clock, Journal, Keep};
pub use state::{Key, State, digest_of_words};
