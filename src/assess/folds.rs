//! Rows held out in turn.

use crate::random::Random;

/// `folds` ways to hold rows out, each `(training rows, rows held out)`: every row is held out once or, where the rows don't divide,
/// now and then twice, so that all folds are of one size (a row list of a [`Job`](crate::train::Job) is). `class`: of a row, so
/// that classes are spread evenly over the folds; give the same for all otherwise. Seeded; both lists ascending.
pub fn folds(rows: &[u32], class: &dyn Fn(u32) -> u32, folds: usize, seed: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
    let folds = folds.clamp(1, rows.len().max(1));
    let mut dealt = rows.to_vec();
    Random::new(seed, 0xf01d).shuffle(&mut dealt);
    // Stable: within a class the order stays drawn by lot.
    dealt.sort_by_key(|&row| class(row));
    let size = rows.len().div_ceil(folds);
    (0..folds)
        .map(|fold| {
            let mut held: Vec<u32> = dealt.iter().skip(fold).step_by(folds).copied().collect();
            // The neighbours in the deal, so that the classes stay even.
            held.extend(dealt.iter().skip((fold + 1) % folds).step_by(folds).take(size - held.len()).copied());
            held.sort_unstable();
            held.dedup();
            let mut train: Vec<u32> = rows.iter().filter(|row| held.binary_search(row).is_err()).copied().collect();
            train.sort_unstable();
            (train, held)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::folds;

    #[test]
    fn folds_cover_everything_and_are_of_one_size() {
        for (n, k) in [(10u32, 5usize), (11, 5), (14, 5), (7, 7), (9, 2), (5, 9), (1, 3), (103, 10)] {
            // A third of the rows is of class 1, and rows are no numbers from 0.
            let rows: Vec<u32> = (0..n).map(|r| 3 * r + 5).collect();
            let class = |row: u32| u32::from(row % 9 == 5);
            let parts = folds(&rows, &class, k, 7);
            let size = (n as usize).div_ceil(k.min(n as usize));
            let mut times = vec![0; n as usize];
            for (train, held) in &parts {
                assert_eq!((held.len(), train.len()), (size, n as usize - size), "{n} rows in {k}");
                let mut both: Vec<u32> = train.iter().chain(held).copied().collect();
                both.sort_unstable();
                assert_eq!(both, rows);
                held.iter().for_each(|row| times[(row - 5) as usize / 3] += 1);
                let ones = held.iter().filter(|&&row| class(row) == 1).count() as f64;
                let due = size as f64 * rows.iter().filter(|&&row| class(row) == 1).count() as f64 / f64::from(n);
                assert!((ones - due).abs() <= 1.5, "{n} rows in {k}: {ones} of class 1, {due} due");
            }
            assert!(times.iter().all(|&t| t == 1 || t == 2));
            assert_eq!(parts, folds(&rows, &class, k, 7));
            assert!(n < 7 || parts != folds(&rows, &class, k, 8));
        }
    }
}
