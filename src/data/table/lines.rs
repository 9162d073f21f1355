//! Tables as text: comma, semicolon or tab between the cells, perhaps packed with gzip. The file is read in blocks of whole lines, as often
//! as it is gone through, and never held.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ::csv::{ReaderBuilder, StringRecord};

use super::super::stream;
use super::block::Block;
use super::source::{Blocks, Source};
use crate::host::refuse_beyond_memory;
use crate::{Error, Result};

/// Bytes of a block, as a rule.
const BLOCK: usize = 1 << 20;

const MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct Lines {
    path: PathBuf,
    delimiter: u8,
    names: Vec<String>,
    /// Where the rows begin, in bytes.
    rows: u64,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self> {
        let mut cut = Cut::new(path, b',')?;
        cut.fill(BLOCK)?;
        let mark = if cut.held.starts_with(MARK) { MARK.len() } else { 0 };
        cut.held.drain(..mark);
        cut.at = mark as u64;
        cut.delimiter = sniff_delimiter(&cut.held);
        let delimiter = cut.delimiter;
        let empty = || Error::input(path, "line 1", "the file is empty", "give a table with a header line and rows");
        let first = cut.next().transpose()?;
        let Some(Block::Lines { text, .. }) = first.filter(|block| !is_blank(block)) else { return Err(empty()) };
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(&text[..]);
        let mut header = StringRecord::new();
        let read = reader.read_record(&mut header).map_err(|e| {
            let place = format!("line {}", line_at(&text[..e.position().map_or(0, |p| p.byte() as usize)], 0));
            Error::input(path, place, "the text is not UTF-8", "save the table as UTF-8")
        })?;
        if !read {
            return Err(empty());
        }
        let rows = mark as u64 + reader.position().byte();
        let names = header.iter().map(|name| name.trim().to_owned()).collect();
        Ok(Lines { path: path.to_owned(), delimiter, names, rows })
    }
}

fn is_blank(block: &Block) -> bool {
    matches!(block, Block::Lines { text, .. } if text.iter().all(u8::is_ascii_whitespace))
}

impl Source for Lines {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn blocks(&self) -> Result<Blocks<'_>> {
        let mut cut = Cut::new(&self.path, self.delimiter)?;
        cut.pass_over(self.rows)?;
        Ok(Box::new(cut))
    }

    /// The number of the line that begins at this byte, behind empty ones.
    fn place(&self, at: u64) -> String {
        let count = || -> Result<usize> {
            let mut reader = BufReader::with_capacity(BLOCK, stream::open(&self.path)?);
            let (mut lines, mut left, mut last) = (1, at, 0u8);
            let unreadable = |e| Error::io("read", &self.path, e, "check that the file is there and readable");
            while left > 0 {
                let bytes = reader.fill_buf().map_err(unreadable)?;
                let bytes = &bytes[..bytes.len().min(left as usize)];
                if bytes.is_empty() {
                    break;
                }
                lines += line_at(bytes, last) - 1;
                (left, last) = (left - bytes.len() as u64, bytes[bytes.len() - 1]);
                let read = bytes.len();
                reader.consume(read);
            }
            // Empty lines before the row, and the CR of the last one's CR LF.
            let mut blank = Vec::new();
            loop {
                let bytes = reader.fill_buf().map_err(unreadable)?;
                let ends = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                blank.extend_from_slice(&bytes[..ends]);
                let all = ends == bytes.len() && ends > 0;
                reader.consume(ends);
                if !all {
                    return Ok(lines + line_at(&blank, last) - 1);
                }
            }
        };
        // The file was read up to here a moment ago.
        count().map_or_else(|_| "table".to_owned(), |line| format!("line {line}"))
    }
}

/// One more than the lines that end in these bytes, of LF, CR LF or CR, behind a byte.
fn line_at(bytes: &[u8], before: u8) -> usize {
    let before = std::iter::once(&before).chain(bytes);
    // A CR ends a line, and a LF but for the one behind it.
    1 + bytes.iter().zip(before).filter(|(b, before)| **b == b'\r' || **b == b'\n' && **before != b'\r').count()
}

/// Cuts a file where lines end.
struct Cut {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    delimiter: u8,
    /// Read, but not handed out.
    held: Vec<u8>,
    /// Where `held` begins in the file.
    at: u64,
    ended: bool,
}

impl Cut {
    fn new(path: &Path, delimiter: u8) -> Result<Self> {
        let reader = stream::open(path)?;
        Ok(Cut { path: path.to_owned(), reader, delimiter, held: Vec::new(), at: 0, ended: false })
    }

    fn unreadable(&self, e: std::io::Error) -> Error {
        Error::io("read", &self.path, e, "check that the file is there, readable and whole")
    }

    /// Reads until so many bytes are held, or all.
    fn fill(&mut self, bytes: usize) -> Result<()> {
        let more = bytes.saturating_sub(self.held.len()) as u64;
        if more > 0 && !self.ended {
            let read = self.reader.by_ref().take(more).read_to_end(&mut self.held);
            self.ended = (read.map_err(|e| self.unreadable(e))? as u64) < more;
        }
        Ok(())
    }

    fn pass_over(&mut self, bytes: u64) -> Result<()> {
        let skipped = std::io::copy(&mut self.reader.by_ref().take(bytes), &mut std::io::sink());
        self.at = skipped.map_err(|e| self.unreadable(e))?;
        Ok(())
    }

    fn next_block(&mut self) -> Result<Option<Block>> {
        let mut wanted = BLOCK;
        let end = loop {
            self.fill(wanted)?;
            if self.held.is_empty() {
                return Ok(None);
            }
            if self.ended {
                break self.held.len();
            }
            if let Some(end) = last_line_end(&self.held, self.delimiter) {
                break end;
            }
            // A line that is longer than a block: an open quote may hold all the rest.
            wanted *= 2;
            let what = format!("a line of {}", self.path.display());
            refuse_beyond_memory(&what, wanted as u64, "check it for an unclosed quote")?;
        };
        let rest = self.held.split_off(end);
        let text = std::mem::replace(&mut self.held, rest);
        let at = self.at;
        self.at += end as u64;
        Ok(Some(Block::Lines { text, delimiter: self.delimiter, at }))
    }
}

impl Iterator for Cut {
    type Item = Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_block().transpose();
        self.ended |= matches!(next, Some(Err(_)));
        next
    }
}

/// Where the last line ends of those that end in these bytes, which begin with a line; one inside quotes ends none.
fn last_line_end(bytes: &[u8], delimiter: u8) -> Option<usize> {
    // A CR at the end may have its LF in the next block.
    let whole = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if !whole.contains(&b'"') {
        return whole.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map(|at| at + 1);
    }
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Begin,
        Bare,
        Quoted,
        /// Behind a quote in a quoted cell: its end, or one half of an escaped one.
        Closed,
    }
    let (mut state, mut end) = (State::Begin, None);
    for (i, &b) in whole.iter().enumerate() {
        state = match (state, b) {
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) => State::Quoted,
            (State::Begin | State::Closed, b'"') => State::Quoted,
            (_, b'\n' | b'\r') => {
                end = Some(i + 1);
                State::Begin
            }
            (_, b) if b == delimiter => State::Begin,
            _ => State::Bare,
        };
    }
    end
}

/// The likeliest delimiter of the header line.
pub(crate) fn sniff_delimiter(text: &[u8]) -> u8 {
    let start = text.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let line = text[start..].split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let mut counts = [0usize; 3];
    let mut quoted = false;
    for b in line {
        match b {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b',' => counts[0] += 1,
            b';' => counts[1] += 1,
            b'\t' => counts[2] += 1,
            _ => {}
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    counts.iter().position(|&n| n == most).map_or(b',', |i| b",;\t"[i])
}
