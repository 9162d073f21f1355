//! Tables with a header line.

use std::path::Path;

use super::{Dataset, Request};
use crate::{Error, Result};

/// Reads a table.
pub(super) fn read(path: &Path, _request: &Request) -> Result<Dataset> {
    Err(Error::input(path, "file", "tables can't be read yet", "use an .npz file"))
}
