//! Two orders of the units: by relevance, and by what each adds to those before it.

use super::substitutes::centred;
use crate::data::Unit;
use crate::train::Resident;

/// Units that may be placed by what they add, the most relevant ones.
const CANDIDATES: usize = 1_000;
/// Training rows that are looked at, at most.
const MOST_ROWS: usize = 2_000;
/// A column of which less than this share of its variance is left says nothing new.
const NOTHING_NEW: f64 = 1e-4;

/// Units by relevance, those of `first` before all others; ties in the order of the columns.
pub(super) fn by_relevance(relevance: &[f64], first: &[bool]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..relevance.len()).collect();
    let key = |u: usize| (first[u], relevance[u]);
    order.sort_by(|&a, &b| key(b).0.cmp(&key(a).0).then(key(b).1.total_cmp(&key(a).1)));
    order
}

/// The `count` units that add most to those before them, then the others as they stand in `order`.
///
/// A spectral layer computes ψ(λ∘x): what it sees of column i is λ_i x_i, with λ_i ∝ √λ̃_i where λ and ψ are balanced
/// (method.md section 5). The next unit is the one with the largest part of λ∘x that no combination of the columns before it
/// gives: a QR factorisation of the scaled inputs with column pivoting (Businger, Golub: Numer. Math. 7, 1965). Of two copies
/// the second comes last. Only units of `first` are placed so.
pub(super) fn by_novelty(
    data: &Resident,
    units: &[Unit],
    relevance: &[f64],
    first: &[bool],
    order: &[usize],
    count: usize,
) -> Vec<usize> {
    let candidates: Vec<usize> = order.iter().copied().filter(|&u| first[u]).take(CANDIDATES).collect();
    let wanted: Vec<usize> = candidates.iter().flat_map(|&u| units[u].columns.clone()).collect();
    let mut columns = centred(data, MOST_ROWS, &wanted);
    // [candidate]: where its columns stand in `columns`.
    let mut next = 0;
    let places: Vec<std::ops::Range<usize>> = candidates
        .iter()
        .map(|&u| {
            let begin = next;
            next += units[u].columns.len();
            begin..next
        })
        .collect();
    for (&u, place) in candidates.iter().zip(&places) {
        let eigenvalue = relevance[u].sqrt() as f32;
        columns[place.clone()].iter_mut().flatten().for_each(|x| *x *= eigenvalue);
    }
    let square = |column: &[f32]| column.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let whole: Vec<f64> = columns.iter().map(|c| square(c)).collect();
    let mut left = whole.clone();
    let mut placed = Vec::new();
    let mut open = vec![true; candidates.len()];
    while placed.len() < count {
        let novelty = |i: usize| {
            let new = |&c: &usize| left[c] > NOTHING_NEW * whole[c];
            places[i].clone().filter(new).map(|c| left[c]).sum::<f64>()
        };
        let best = (0..candidates.len()).filter(|&i| open[i]).map(|i| (i, novelty(i)));
        // The first of equals: the more relevant one.
        let best = best.fold(None, |best: Option<(usize, f64)>, (i, x)| match best {
            Some((_, most)) if most >= x => best,
            _ => Some((i, x)),
        });
        let Some((i, novelty)) = best.filter(|&(_, novelty)| novelty > 0.0) else { break };
        debug_assert!(novelty.is_finite());
        open[i] = false;
        placed.push(candidates[i]);
        for p in places[i].clone() {
            let norm = square(&columns[p]);
            if norm <= NOTHING_NEW * whole[p] || norm == 0.0 {
                continue;
            }
            let direction = columns[p].clone();
            for j in (0..candidates.len()).filter(|&j| open[j] || j == i) {
                for c in places[j].clone() {
                    let product: f64 =
                        columns[c].iter().zip(&direction).map(|(&x, &d)| f64::from(x) * f64::from(d)).sum();
                    let share = (product / norm) as f32;
                    columns[c].iter_mut().zip(&direction).for_each(|(x, &d)| *x -= share * d);
                    left[c] = square(&columns[c]);
                }
            }
        }
    }
    let rest = order.iter().copied().filter(|u| !placed.contains(u));
    let rest: Vec<usize> = rest.collect();
    placed.extend(rest);
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synthetic;

    #[test]
    fn copies_come_last() {
        let dataset = synthetic::redundant(2, 500);
        let n = dataset.columns;
        let rows: Vec<u32> = (0..500).collect();
        let data = Resident::new(&dataset, (&vec![0.0; n], &vec![1.0; n]), (&[], &[]), [&rows, &[], &[]]);
        let units = crate::data::units(&dataset.features, &[]);
        let name = |u: usize| units[u].name.as_str();
        let relevance: Vec<f64> =
            (0..n).map(|u| if name(u).starts_with('s') { 1.0 - 0.01 * u as f64 } else { 0.1 }).collect();
        let first = vec![true; n];
        let order = by_relevance(&relevance, &first);
        assert_eq!(order[..2], [0, 1], "by relevance alone two relatives lead: {}, {}", name(0), name(1));
        let order = by_novelty(&data, &units, &relevance, &first, &order, n);
        let families: std::collections::BTreeSet<&str> = order[..3].iter().map(|&u| &name(u)[..2]).collect();
        assert_eq!(families.into_iter().collect::<Vec<_>>(), ["s0", "s1", "s2"]);
        let mut all = order.clone();
        all.sort_unstable();
        assert_eq!(all, (0..n).collect::<Vec<_>>(), "every unit has a place");
        // Of s, its copy and its negative one is placed; the other two of each source say nothing new and close the list.
        assert!(order[n - 6..].iter().all(|&u| name(u).starts_with('s')), "{order:?}");
    }
}
