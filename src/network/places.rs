//! Places of elements in samples with axes: what nodes that move elements count with.

/// The coordinates of a flat index.
pub(super) fn coordinates(shape: &[usize], mut flat: usize) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (at, &size) in at.iter_mut().zip(shape).rev() {
        *at = flat % size;
        flat /= size;
    }
    at
}

/// The flat index of coordinates.
pub(super) fn flat(shape: &[usize], at: &[usize]) -> usize {
    shape.iter().zip(at).fold(0, |flat, (&size, &at)| flat * size + at)
}

/// The elements of a shape; an error where that overflows, or there are none.
pub(super) fn elements(shape: &[usize]) -> Result<usize, String> {
    let count = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    count.filter(|&n| n > 0 && n <= 1 << 27).ok_or_else(|| format!("samples can't have the shape {shape:?}"))
}
