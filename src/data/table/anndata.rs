//! AnnData's .h5ad (HDF5): the cells' numbers `X`, dense or as rows of a sparse matrix, are the inputs, by the names of `var`; the columns of
//! `obs` are targets, weights and names of rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdf5_pure::{DType, Dataset, File, Group};

use super::block::{Block, Column, rows_at_once};
use super::cell::listed;
use super::source::{Blocks, Source};
use crate::{Error, Result};

/// Columns that `X` may have.
const MOST_COLUMNS: u64 = 1 << 22;

/// Blocks are larger than other formats': parts of the file are unpacked as wholes, and hold many rows.
const ROWS_AT_ONCE: u64 = 16;

/// What `X` is.
enum Matrix {
    Dense(Dataset),
    /// Where each row begins among the cells that aren't 0, their columns, and they themselves.
    Rows(Box<[Dataset; 3]>),
}

/// What is read of a column of `obs`.
enum Annotation {
    Numbers,
    Flags,
    Texts,
    /// Codes of these; −1 is none.
    Levels(Arc<Vec<String>>),
}

pub(super) struct AnnData {
    path: PathBuf,
    /// Of `X`, then of `obs`.
    names: Vec<String>,
    inputs: usize,
    rows: u64,
    sparse: bool,
    annotations: Vec<(String, Annotation)>,
    left_out: Vec<String>,
}

/// An error of the HDF5 reader, about a place in the file.
fn wrong(path: &Path, place: &str, problem: impl std::fmt::Display) -> Error {
    let remedy = "give a file that anndata's AnnData.write_h5ad wrote";
    Error::input(path, place, format!("it can't be read ({problem})"), remedy)
}

fn text_attribute(group: &Group, name: &str) -> Option<String> {
    Some(group.attrs().ok()?.get(name)?.as_str()?.to_owned())
}

impl AnnData {
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let group = |name: &str| file.group(name).map_err(|e| wrong(path, name, e));
        let (var, obs) = (group("var")?, group("obs")?);
        let own = text_attribute(&var, "_index").unwrap_or_else(|| "_index".into());
        let names = var.dataset(&own).and_then(|index| index.read_string()).map_err(|e| wrong(path, "var", e))?;
        let mut table = AnnData {
            path: path.to_owned(),
            inputs: names.len(),
            names,
            rows: 0,
            sparse: false,
            annotations: Vec::new(),
            left_out: Vec::new(),
        };
        let shape = match file.dataset("X") {
            Ok(x) => x.shape().map_err(|e| wrong(path, "X", e))?,
            Err(_) => table.sparse_shape(&file)?,
        };
        match shape[..] {
            [rows, columns] if columns == table.inputs as u64 && columns <= MOST_COLUMNS => table.rows = rows,
            _ => {
                let problem = format!("its shape is {shape:?}, with {} names of columns in var", table.inputs);
                return Err(wrong(path, "X", problem));
            }
        }
        table.find_annotations(&obs)?;
        Ok(table)
    }

    /// The shape of a sparse `X`.
    fn sparse_shape(&mut self, file: &File) -> Result<Vec<u64>> {
        let group = file.group("X").map_err(|e| wrong(&self.path, "X", e))?;
        let kind = text_attribute(&group, "encoding-type").unwrap_or_default();
        if kind != "csr_matrix" {
            let problem = format!("it is {kind:?}, whose rows don't stand together");
            let remedy = "save it as rows: adata.X = adata.X.tocsr()";
            return Err(Error::input(&self.path, "X", problem, remedy));
        }
        self.sparse = true;
        let pointers = group.dataset("indptr").and_then(|p| p.shape()).map_err(|e| wrong(&self.path, "X/indptr", e))?;
        Ok(vec![pointers.first().copied().unwrap_or(0).saturating_sub(1), self.inputs as u64])
    }

    fn find_annotations(&mut self, obs: &Group) -> Result<()> {
        let bad = |e| wrong(&self.path, "obs", e);
        let index = text_attribute(obs, "_index").unwrap_or_else(|| "_index".into());
        for name in obs.datasets().map_err(bad)? {
            let column = obs.dataset(&name).map_err(bad)?;
            let kind = match column.dtype().map_err(bad)? {
                DType::String | DType::VariableLengthString => Some(Annotation::Texts),
                DType::Enum(_) if column.element_size().map_err(bad)? == 1 => Some(Annotation::Flags),
                DType::F32 | DType::F64 => Some(Annotation::Numbers),
                DType::I8 | DType::I16 | DType::I32 | DType::I64 => Some(Annotation::Numbers),
                DType::U8 | DType::U16 | DType::U32 | DType::U64 => Some(Annotation::Numbers),
                _ => None,
            };
            let whole = column.shape().map_err(bad)? == [self.rows];
            match kind.filter(|_| whole) {
                // What the rows are called, and where older files keep the categories.
                _ if name.starts_with("__") => {}
                Some(kind) => {
                    let named = if name == index { "obs_names".to_owned() } else { name.clone() };
                    self.names.push(named);
                    self.annotations.push((name, kind));
                }
                None => self.left_out.push(name),
            }
        }
        for name in obs.groups().map_err(bad)? {
            let group = obs.group(&name).map_err(bad)?;
            let categories = group.dataset("categories").and_then(|categories| categories.read_string());
            match categories {
                Ok(categories)
                    if group.dataset("codes").and_then(|codes| codes.shape()).is_ok_and(|s| s == [self.rows]) =>
                {
                    self.names.push(name.clone());
                    self.annotations.push((name, Annotation::Levels(Arc::new(categories))));
                }
                _ if name.starts_with("__") => {}
                _ => self.left_out.push(name),
            }
        }
        Ok(())
    }

    /// The datasets that `X` is.
    fn matrix(&self, file: &File) -> Result<Matrix> {
        let part = |name: &str| file.dataset(name).map_err(|e| wrong(&self.path, name, e));
        Ok(match self.sparse {
            false => Matrix::Dense(part("X")?),
            true => Matrix::Rows(Box::new([part("X/indptr")?, part("X/indices")?, part("X/data")?])),
        })
    }

    /// The inputs of some rows, by column.
    fn inputs_of(&self, matrix: &Matrix, at: u64, rows: usize) -> Result<Vec<Vec<f64>>> {
        let bad = |e: hdf5_pure::Error| wrong(&self.path, "X", e);
        let mut columns = vec![vec![0.0; rows]; self.inputs];
        let [pointers, places, values] = match matrix {
            Matrix::Rows(parts) => &**parts,
            Matrix::Dense(x) => {
                let cells = x.read_f64_rows(at, rows as u64).map_err(bad)?;
                if cells.len() != rows * self.inputs {
                    return Err(wrong(&self.path, "X", "it ends too early"));
                }
                for (row, cells) in cells.chunks_exact(self.inputs).enumerate() {
                    columns.iter_mut().zip(cells).for_each(|(column, &cell)| column[row] = cell);
                }
                return Ok(columns);
            }
        };
        let pointers = pointers.read_i64_rows(at, rows as u64 + 1).map_err(bad)?;
        let (Some(&from), Some(&to)) = (pointers.first(), pointers.last()) else {
            return Err(wrong(&self.path, "X/indptr", "it is empty"));
        };
        let ascending = from >= 0 && pointers.len() == rows + 1 && pointers.windows(2).all(|pair| pair[0] <= pair[1]);
        if !ascending || (to - from) as u64 > rows as u64 * self.inputs as u64 {
            return Err(wrong(&self.path, "X/indptr", "its numbers are no places of rows"));
        }
        let count = (to - from) as u64;
        let values = values.read_f64_rows(from as u64, count).map_err(bad)?;
        let places = places.read_i64_rows(from as u64, count).map_err(bad)?;
        if values.len() as u64 != count || places.len() as u64 != count {
            return Err(wrong(&self.path, "X", "it ends too early"));
        }
        for (row, pair) in pointers.windows(2).enumerate() {
            for i in (pair[0] - from) as usize..(pair[1] - from) as usize {
                let column = usize::try_from(places[i]).ok().and_then(|c| columns.get_mut(c));
                let column = column.ok_or_else(|| wrong(&self.path, "X/indices", "a column is beyond the last"))?;
                column[row] = values[i];
            }
        }
        Ok(columns)
    }

    /// The annotations of some rows.
    fn annotation(&self, obs: &Group, (name, kind): &(String, Annotation), at: u64, rows: usize) -> Result<Column> {
        let bad = |e: hdf5_pure::Error| wrong(&self.path, &format!("obs/{name}"), e);
        let column = || obs.dataset(name).map_err(bad);
        let count = rows as u64;
        let column = match kind {
            Annotation::Numbers => Column::Numbers(column()?.read_f64_rows(at, count).map_err(bad)?),
            Annotation::Flags => {
                let flags = column()?.read_raw_rows(at, count).map_err(bad)?;
                Column::Numbers(flags.into_iter().map(f64::from).collect())
            }
            Annotation::Texts => {
                let texts = column()?.read_string_rows(at, count).map_err(bad)?;
                Column::Texts(texts.into_iter().map(Some).collect())
            }
            Annotation::Levels(texts) => {
                let codes = obs.group(name).and_then(|group| group.dataset("codes")).map_err(bad)?;
                let codes = codes.read_i64_rows(at, count).map_err(bad)?;
                let places = codes.into_iter().map(|code| u32::try_from(code).unwrap_or(u32::MAX)).collect();
                Column::Levels { places, texts: Arc::clone(texts) }
            }
        };
        match column.len() == rows {
            true => Ok(column),
            false => Err(wrong(&self.path, &format!("obs/{name}"), "it ends too early")),
        }
    }

    fn block(&self, (matrix, obs): &(Matrix, Group), at: u64, rows: usize) -> Result<Block> {
        let mut columns: Vec<Column> = self.inputs_of(matrix, at, rows)?.into_iter().map(Column::Numbers).collect();
        for annotation in &self.annotations {
            columns.push(self.annotation(obs, annotation, at, rows)?);
        }
        Ok(Block::Columns { columns, rows, at })
    }
}

fn open(path: &Path) -> Result<File> {
    std::fs::File::open(path).map_err(|e| Error::io("open", path, e, "check that the file is there and readable"))?;
    File::open_streaming(path).map_err(|e| wrong(path, "file", e))
}

impl Source for AnnData {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn inputs(&self) -> usize {
        self.inputs
    }

    fn blocks(&self) -> Result<Blocks<'_>> {
        let file = open(&self.path)?;
        // Held from block to block: so is what they have unpacked.
        let parts = (self.matrix(&file)?, file.group("obs").map_err(|e| wrong(&self.path, "obs", e))?);
        let mut at = 0;
        Ok(Box::new(std::iter::from_fn(move || {
            let rows = (ROWS_AT_ONCE * rows_at_once(self.names.len()) as u64).min(self.rows - at) as usize;
            if rows == 0 {
                return None;
            }
            let block = self.block(&parts, at, rows);
            at = if block.is_ok() { at + rows as u64 } else { self.rows };
            Some(block)
        })))
    }

    fn place(&self, at: u64) -> String {
        format!("row {at} (counted from 0)")
    }

    fn notes(&self) -> Vec<String> {
        let left_out = (!self.left_out.is_empty()).then(|| {
            format!(
                "{}: columns of obs that can't be used are left out: {}",
                self.path.display(),
                listed(&self.left_out)
            )
        });
        left_out.into_iter().collect()
    }
}
