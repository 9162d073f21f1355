//! Sparse matrices: what a fixed node is.

/// A sparse matrix by rows (CSR).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SparseMatrix {
    /// Where each row's terms begin, and where the last one's end.
    begin: Vec<u32>,
    column: Vec<u32>,
    /// Of every term; `None`: 1.
    weight: Option<Vec<f64>>,
    columns: usize,
}

impl SparseMatrix {
    /// From the columns that each row sums.
    pub fn sums(columns: usize, rows: impl IntoIterator<Item = Vec<usize>>) -> Self {
        let mut matrix = SparseMatrix { begin: vec![0], column: Vec::new(), weight: None, columns };
        for row in rows {
            matrix.column.extend(row.into_iter().map(|c| c as u32));
            matrix.begin.push(matrix.column.len() as u32);
        }
        matrix
    }

    /// From the one column that each row takes; `None`: 0.
    pub fn moves(columns: usize, rows: impl IntoIterator<Item = Option<usize>>) -> Self {
        Self::sums(columns, rows.into_iter().map(|c| c.into_iter().collect()))
    }

    /// With a weight for each term.
    pub fn weighted(columns: usize, rows: impl IntoIterator<Item = Vec<(usize, f64)>>) -> Self {
        let mut weight = Vec::new();
        let rows = rows.into_iter().map(|row| {
            weight.extend(row.iter().map(|(_, w)| *w));
            row.into_iter().map(|(c, _)| c).collect()
        });
        let matrix = Self::sums(columns, rows);
        SparseMatrix { weight: Some(weight), ..matrix }
    }

    /// Terms in the order of the rows they came from.
    pub fn transpose(&self) -> Self {
        let rows = self.begin.len() - 1;
        let mut begin = vec![0u32; self.columns + 1];
        self.column.iter().for_each(|&c| begin[c as usize + 1] += 1);
        (0..self.columns).for_each(|c| begin[c + 1] += begin[c]);
        let mut next = begin.clone();
        let mut column = vec![0; self.column.len()];
        let mut weight = self.weight.as_ref().map(|w| vec![0.0; w.len()]);
        for r in 0..rows {
            for t in self.begin[r] as usize..self.begin[r + 1] as usize {
                let to = &mut next[self.column[t] as usize];
                column[*to as usize] = r as u32;
                if let (Some(weight), Some(from)) = (&mut weight, &self.weight) {
                    weight[*to as usize] = from[t];
                }
                *to += 1;
            }
        }
        SparseMatrix { begin, column, weight, columns: rows }
    }

    /// As the kernel reads it: `begin`, then the columns; and the weights.
    pub fn into_parts(self) -> (Vec<u32>, Option<Vec<f64>>) {
        let mut index = self.begin;
        index.extend(self.column);
        (index, self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::SparseMatrix;

    #[test]
    fn the_transpose_has_the_same_terms() {
        let matrix = SparseMatrix::weighted(3, [vec![(2, 1.0), (0, 2.0)], vec![], vec![(2, 3.0)]]);
        let transpose = SparseMatrix::weighted(3, [vec![(0, 2.0)], vec![], vec![(0, 1.0), (2, 3.0)]]);
        assert_eq!(matrix.transpose(), transpose);
        assert_eq!(SparseMatrix::moves(2, [Some(1), None]).into_parts(), (vec![0, 1, 1, 1], None));
    }
}
