//! A run is never lost: folders whose results are those of one run, and locks.
//!
//! A command that leaves several files opens a [`Folder`]: nobody else writes there meanwhile, the new files are gathered out of
//! sight, and they take the places of the old ones together.
//!
//! ```text
//! DIR/model.safetensors …        results, of one run
//! DIR/unfinished/.lock           the number of the process that writes here
//! DIR/unfinished/.new/           its results, until all are there
//! DIR/unfinished/.swap           which of them take whose places: a swap that was begun
//! ```

mod folder;
mod lock;

pub use folder::{Folder, settle};
