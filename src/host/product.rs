//! The matrix product, by a GEMM library.

use super::real::Real;

/// A matrix in memory, with the distances between neighbours along both axes: transposition is swapping them.
#[derive(Clone, Copy)]
pub struct Operand<'a, T> {
    pub values: &'a [T],
    pub row: usize,
    pub column: usize,
}

/// `out[m, n] = lhs[m, k] · rhs[k, n]`, `out` with leading dimension `ld`, on one thread.
pub fn product<T: Real>(out: &mut [T], ld: usize, shape: (usize, usize, usize), lhs: Operand<T>, rhs: Operand<T>) {
    multiply(out, ld, shape, lhs, rhs, false);
}

/// `out[m, n] += lhs[m, k] · rhs[k, n]`, otherwise as [`product`].
pub fn add_product<T: Real>(out: &mut [T], ld: usize, shape: (usize, usize, usize), lhs: Operand<T>, rhs: Operand<T>) {
    multiply(out, ld, shape, lhs, rhs, true);
}

fn multiply<T: Real>(
    out: &mut [T],
    ld: usize,
    (m, n, k): (usize, usize, usize),
    lhs: Operand<T>,
    rhs: Operand<T>,
    add: bool,
) {
    let last = |o: &Operand<T>, r: usize, c: usize| (r - 1) * o.row + (c - 1) * o.column;
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * ld + n <= out.len(), "invariant: the product's output fits its view");
    if k > 0 {
        assert!(last(&lhs, m, k) < lhs.values.len() && last(&rhs, k, n) < rhs.values.len());
    }
    // SAFETY: the asserts above keep every element that the product touches inside the three slices; `out` is borrowed
    // mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            ld as isize,
            add,
            lhs.values.as_ptr(),
            lhs.column as isize,
            lhs.row as isize,
            rhs.values.as_ptr(),
            rhs.column as isize,
            rhs.row as isize,
            if add { T::ONE } else { T::ZERO },
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
