//! Which inputs could stand in for a chosen one.

use serde::{Deserialize, Serialize};

use crate::data::Unit;
use crate::train::Resident;

/// Correlations from which on one input says much the same as another.
const ALIKE: f64 = 0.7;
/// Training rows that correlations are taken over, at most: their error is 1/√rows.
const MOST_ROWS: usize = 10_000;
/// Substitutes that are listed for one input.
const MOST: usize = 10;

/// An input that is correlated with a chosen one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Substitute {
    pub name: String,
    /// Pearson's, over the training rows; between groups the largest of their columns'.
    pub correlation: f64,
    /// Share of the networks at the chosen penalty that kept it and dropped the chosen one.
    pub kept_instead: f64,
    /// Share that kept both.
    pub kept_both: f64,
    /// Whether it was chosen too.
    pub chosen: bool,
}

/// For each chosen unit its substitutes: those that other networks kept instead first, then by correlation. `kept[r][u]`: of
/// the networks at the chosen penalty.
pub(super) fn substitutes(
    data: &Resident,
    units: &[Unit],
    chosen: &[usize],
    kept: &[Vec<bool>],
) -> Vec<Vec<Substitute>> {
    let mut columns = centred(data, MOST_ROWS, &(0..data.columns).collect::<Vec<_>>());
    for column in &mut columns {
        let square = column.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let scale = if square > 0.0 { (column.len() as f64 / square).sqrt() } else { 0.0 };
        column.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
    }
    let rows = columns.first().map_or(1, Vec::len).max(1) as f64;
    let correlation = |a: usize, b: usize| {
        let products = columns[a].iter().zip(&columns[b]).map(|(x, y)| f64::from(*x) * f64::from(*y));
        // Columns are f32, so a copy's may come out a little above 1.
        (products.sum::<f64>() / rows).clamp(-1.0, 1.0)
    };
    let between = |a: &Unit, b: &Unit| {
        let pairs = a.columns.iter().flat_map(|&x| b.columns.iter().map(move |&y| (x, y)));
        let strongest = pairs.map(|(x, y)| correlation(x, y)).max_by(|x, y| x.abs().total_cmp(&y.abs()));
        strongest.unwrap_or(0.0)
    };
    let share = |f: &dyn Fn(&Vec<bool>) -> bool| kept.iter().filter(|k| f(k)).count() as f64 / kept.len().max(1) as f64;
    let of = |&u: &usize| {
        let mut found: Vec<Substitute> = (0..units.len())
            .filter(|&v| v != u)
            .map(|v| (v, between(&units[u], &units[v])))
            .filter(|(_, correlation)| correlation.abs() >= ALIKE)
            .map(|(v, correlation)| Substitute {
                name: units[v].name.clone(),
                correlation,
                kept_instead: share(&|k| k[v] && !k[u]),
                kept_both: share(&|k| k[v] && k[u]),
                chosen: chosen.contains(&v),
            })
            .collect();
        let key = |s: &Substitute| (s.kept_instead, s.correlation.abs());
        found.sort_by(|a, b| key(b).0.total_cmp(&key(a).0).then(key(b).1.total_cmp(&key(a).1)));
        found.truncate(MOST);
        found
    };
    chosen.iter().map(of).collect()
}

/// Some columns of the inputs over at most so many training rows, mean 0 each.
pub(super) fn centred(data: &Resident, most_rows: usize, wanted: &[usize]) -> Vec<Vec<f32>> {
    let rows = &data.list[data.train.clone()];
    let rows: Vec<u32> = rows.iter().copied().step_by(rows.len().div_ceil(most_rows).max(1)).collect();
    let count = rows.len().max(1) as f64;
    let mut columns = vec![Vec::with_capacity(rows.len()); wanted.len()];
    // Rows in portions: a large data set is not copied twice.
    for rows in rows.chunks(4096) {
        for row in data.inputs(rows).chunks_exact(data.columns) {
            columns.iter_mut().zip(wanted).for_each(|(column, &c)| column.push(row[c] as f32));
        }
    }
    for column in &mut columns {
        let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        column.iter_mut().for_each(|x| *x = (f64::from(*x) - mean) as f32);
    }
    columns
}
