//! What a source is, by what it is called.

use std::path::Path;

/// The synthetic sets.
const MADE: [&str; 5] = ["gaussian", "correlated", "redundant", "channels", "rotated-squares"];

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Made,
    Idx,
    /// .npz and .npy.
    Arrays,
    /// A table of text.
    Lines,
    #[cfg(feature = "parquet")]
    Parquet,
    /// Feather is one.
    #[cfg(feature = "arrow")]
    Arrow,
    Fits,
    /// AnnData's tables of cells.
    #[cfg(feature = "hdf5")]
    AnnData,
}

impl Format {
    /// `None`: a picture, a folder of them, or nothing known.
    pub fn of(source: &str) -> Option<Format> {
        if MADE.contains(&source) {
            return Some(Format::Made);
        }
        if source.starts_with("idx:") {
            return Some(Format::Idx);
        }
        if source == super::stream::STDIN {
            return Some(Format::Lines);
        }
        let name = source.to_ascii_lowercase();
        let extension =
            |name: &str| Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default().to_owned();
        match extension(&name).as_str() {
            "npz" | "npy" => Some(Format::Arrays),
            "csv" | "tsv" | "txt" => Some(Format::Lines),
            #[cfg(feature = "parquet")]
            "parquet" | "pq" => Some(Format::Parquet),
            #[cfg(feature = "arrow")]
            "feather" | "arrow" | "ipc" => Some(Format::Arrow),
            "fits" | "fit" | "fts" => Some(Format::Fits),
            #[cfg(feature = "hdf5")]
            "h5ad" => Some(Format::AnnData),
            "gz" => match extension(name.trim_end_matches(".gz")).as_str() {
                "csv" | "tsv" | "txt" => Some(Format::Lines),
                "fits" | "fit" | "fts" => Some(Format::Fits),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it has named columns.
    pub fn is_table(self) -> bool {
        !matches!(self, Format::Made | Format::Idx | Format::Arrays)
    }
}
