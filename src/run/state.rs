//! What is kept of a computation, to the bit.

use sha2::{Digest, Sha256};

/// The bytes of a digest.
pub const DIGEST: usize = 32;
const MAGIC: &[u8; 8] = b"EIGSTAT2";

/// Says whose state it is: a digest of everything that decides it.
pub type Key = [u8; DIGEST];

/// A text and lists of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub text: String,
    pub numbers: Vec<Vec<f64>>,
}

/// When somebody worked on it: from when to when, in seconds since 1970.
pub(super) type Span = [f64; 2];

impl State {
    /// As a file: who it is of, when it was made, the text, and each list with its length, in single precision where that holds every
    /// number of it; then the digest of all that.
    pub(super) fn bytes(&self, key: &Key, spans: &[Span]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], key].concat();
        let length = |bytes: &mut Vec<u8>, length: usize| bytes.extend((length as u64).to_le_bytes());
        length(&mut bytes, spans.len());
        spans.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
        length(&mut bytes, self.text.len());
        bytes.extend(self.text.as_bytes());
        length(&mut bytes, self.numbers.len());
        for list in &self.numbers {
            length(&mut bytes, list.len());
            let single = list.iter().all(|&x| f64::from(x as f32).to_bits() == x.to_bits());
            bytes.push(if single { 4 } else { 8 });
            if single {
                list.iter().for_each(|&x| bytes.extend((x as f32).to_le_bytes()));
            } else {
                list.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
            }
        }
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// `None` for a file that is damaged or of another key.
    pub(super) fn read(bytes: &[u8], key: &Key) -> Option<(State, Vec<Span>)> {
        let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
        if Sha256::digest(content)[..] != *digest {
            return None;
        }
        let mut rest = content.strip_prefix(MAGIC)?.strip_prefix(key)?;
        let mut take = |count: usize| {
            let (part, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(part)
        };
        let whole = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes).and_then(|n| usize::try_from(n).ok());
        let float = |bytes: &[u8]| bytes.try_into().ok().map(f64::from_le_bytes);
        let count = whole(take(8)?)?;
        let spans = take(count.checked_mul(size_of::<Span>())?)?.chunks_exact(size_of::<Span>());
        let spans = spans.map(|span| Some([float(&span[..8])?, float(&span[8..])?])).collect::<Option<_>>()?;
        let length = whole(take(8)?)?;
        let text = String::from_utf8(take(length)?.to_vec()).ok()?;
        let count = whole(take(8)?)?;
        let mut numbers = Vec::new();
        for _ in 0..count {
            let (length, width) = (whole(take(8)?)?, usize::from(take(1)?[0]));
            let list = take(length.checked_mul(width)?)?;
            numbers.push(match width {
                4 => list.chunks_exact(4).map(|x| f64::from(f32::from_le_bytes([x[0], x[1], x[2], x[3]]))).collect(),
                8 => list.chunks_exact(8).map(float).collect::<Option<_>>()?,
                _ => return None,
            });
        }
        Some((State { text, numbers }, spans))
    }
}

/// A fast digest of many words: to notice that data are others, not to withstand somebody who wants them to look alike.
pub fn digest_of_words(words: &[u32]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut lanes = [1u64, 2, 3, 4].map(|lane| (lane * PRIME) ^ words.len() as u64);
    for chunk in words.chunks(4) {
        for (lane, &word) in lanes.iter_mut().zip(chunk) {
            *lane = (*lane ^ u64::from(word)).wrapping_mul(PRIME).rotate_left(29);
        }
    }
    lanes.iter().fold(0, |sum, lane| (sum ^ lane ^ (lane >> 31)).wrapping_mul(PRIME).rotate_left(31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_to_the_bit() {
        let odd = vec![0.1, -0.0, f64::NAN, f64::INFINITY, f64::from_bits(1)];
        let single: Vec<f64> = [0.1f32, -0.0, f32::MIN_POSITIVE].map(f64::from).to_vec();
        let state = State { text: "{ψ}".into(), numbers: vec![odd, vec![], single] };
        let bytes = state.bytes(&[7; DIGEST], &[[1.0, 2.5], [4.0, 5.0]]);
        let (found, spans) = State::read(&bytes, &[7; DIGEST]).unwrap();
        assert_eq!(spans, [[1.0, 2.5], [4.0, 5.0]]);
        let bits = |state: &State| state.numbers.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&found), &found.text), (bits(&state), &state.text));
        assert_eq!(State::read(&bytes, &[8; DIGEST]), None, "another's");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(State::read(&bad, &[7; DIGEST]).is_none() && State::read(&bytes[..at], &[7; DIGEST]).is_none());
        }
    }

    #[test]
    fn every_word_counts_at_its_place() {
        let words: Vec<u32> = (0..1001).collect();
        let digest = digest_of_words(&words);
        for at in [0, 1, 3, 4, 999, 1000] {
            let mut other = words.clone();
            other[at] ^= 1 << 31;
            assert_ne!(digest_of_words(&other), digest, "word {at}");
        }
        assert_ne!(digest_of_words(&words[..1000]), digest);
        let swapped: Vec<u32> = words.iter().rev().copied().collect();
        assert_ne!(digest_of_words(&swapped), digest);
    }
}
