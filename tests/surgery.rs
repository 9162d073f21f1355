//! Reductions of contributions: properties on random lists, and the paper's rule by another program.

use eigenlens::specxai::{Reduction, clusters, reduce, reduce_clusters, shares};
use proptest::prelude::*;

/// Rounding of sums of a list's values.
fn tolerance(list: &[f64]) -> f64 {
    f64::EPSILON * (list.len() as f64 + 1.0) * list.iter().map(|x| x.abs()).sum::<f64>()
}

fn total(list: &[f64]) -> f64 {
    list.iter().sum()
}

/// Random numbers of several sizes, with zeros, ties and opposite pairs among them.
fn lists() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        4 => -10.0..10.0f64,
        2 => (-3i32..=3).prop_map(f64::from),
        1 => Just(0.0),
        1 => -1e-8..1e-8f64,
    ];
    prop::collection::vec(value, 0..40)
}

/// The rule as method.md states it, with lists of (place, value) that are sorted anew in every round.
fn cancel_by_lists(list: &[f64]) -> Vec<f64> {
    let mut all: Vec<(usize, f64)> = list.iter().copied().enumerate().filter(|(_, x)| *x != 0.0).collect();
    loop {
        let sorted = |sign: f64| {
            let mut part: Vec<_> = all.iter().copied().filter(|(_, x)| x * sign > 0.0).collect();
            part.sort_by(|a, b| (b.1 * sign).partial_cmp(&(a.1 * sign)).unwrap().then(a.0.cmp(&b.0)));
            part
        };
        let (positive, negative) = (sorted(1.0), sorted(-1.0));
        if positive.is_empty() || negative.is_empty() {
            let mut out = vec![0.0; list.len()];
            all.iter().for_each(|&(i, x)| out[i] = x);
            return out;
        }
        let pairs = positive.len().min(negative.len());
        let mut next: Vec<_> = positive[pairs..].iter().chain(&negative[pairs..]).copied().collect();
        for (p, n) in positive.iter().zip(&negative) {
            let heir = if p.1 >= -n.1 { p.0 } else { n.0 };
            if p.1 + n.1 != 0.0 {
                next.push((heir, p.1 + n.1));
            }
        }
        all = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn cancellation(list in lists()) {
        let reduced = reduce(&list, Reduction::Cancel);
        prop_assert_eq!(reduced.len(), list.len());
        prop_assert!((total(&reduced) - total(&list)).abs() <= tolerance(&list), "the sum is kept");
        prop_assert!(!reduced.iter().any(|x| *x > 0.0) || !reduced.iter().any(|x| *x < 0.0), "one sign is left");
        for (r, x) in reduced.iter().zip(&list) {
            prop_assert!(*r == 0.0 || *x != 0.0, "a zero stays one");
            prop_assert!(r.abs() <= x.abs() + tolerance(&list), "nothing grows");
        }
        prop_assert_eq!(reduced, cancel_by_lists(&list));
    }

    #[test]
    fn pro_rata(list in lists()) {
        let reduced = reduce(&list, Reduction::ProRata);
        let sum = total(&list);
        // Below rounding of the sum its sign is chance.
        if sum.abs() > tolerance(&list) {
            prop_assert!((total(&reduced) - sum).abs() <= 4.0 * tolerance(&list));
            prop_assert!(reduced.iter().all(|r| r * sum >= 0.0));
            let mut backwards: Vec<f64> = list.iter().rev().copied().collect();
            backwards = reduce(&backwards, Reduction::ProRata);
            for (a, b) in reduced.iter().zip(backwards.iter().rev()) {
                prop_assert!((a - b).abs() <= 4.0 * tolerance(&list), "free of order");
            }
        }
    }

    #[test]
    fn largest_and_quantile(list in lists(), n in 1usize..10, q in 0.0..=1.0f64) {
        let kept = reduce(&list, Reduction::TopN(n));
        let nonzero = list.iter().filter(|x| **x != 0.0).count();
        prop_assert_eq!(kept.iter().filter(|x| **x != 0.0).count(), n.min(nonzero));
        let least = kept.iter().filter(|x| **x != 0.0).fold(f64::INFINITY, |a, x| a.min(x.abs()));
        for (k, x) in kept.iter().zip(&list) {
            prop_assert!(k == x || (*k == 0.0 && x.abs() <= least), "what is kept is as it was, the rest is smaller");
        }
        let above = reduce(&list, Reduction::Quantile(q));
        for (i, k) in above.iter().enumerate() {
            let larger = list.iter().filter(|x| x.abs() > list[i].abs()).count() as f64;
            if *k == 0.0 && list[i] != 0.0 {
                prop_assert!(larger >= (1.0 - q) * (list.len() - 1) as f64 - 1e-9, "only what is below the quantile goes");
            }
        }
    }

    #[test]
    fn shares_are_of_the_whole(list in lists()) {
        let reduced = reduce(&list, Reduction::Cancel);
        let net = total(&list).abs() > list.len() as f64 * 1e-7 * list.iter().map(|x| x.abs()).sum::<f64>();
        match shares(&list, &reduced, 1e-7) {
            Some(shares) => {
                prop_assert!(net);
                prop_assert!((total(&shares) - 1.0).abs() < 1e-12);
                prop_assert!(shares.iter().all(|s| *s >= 0.0));
            }
            None => prop_assert!(!net || total(&reduced) == 0.0),
        }
    }
}

#[test]
fn edge_cases() {
    for reduction in
        [Reduction::None, Reduction::Cancel, Reduction::ProRata, Reduction::TopN(2), Reduction::Quantile(0.5)]
    {
        assert_eq!(reduce(&[], reduction), [] as [f64; 0]);
        assert_eq!(reduce(&[2.5], reduction), [2.5]);
    }
    assert_eq!(reduce(&[1.0, -1.0], Reduction::Cancel), [0.0, 0.0]);
    assert_eq!(reduce(&[1.0, -1.0], Reduction::ProRata), [0.0, 0.0]);
    assert_eq!(shares(&[1.0, -1.0], &[0.0, 0.0], 1e-7), None);
    // By hand: 5 meets −4, 2 meets −3; 1 meets −1.
    assert_eq!(reduce(&[5.0, -4.0, 2.0, -3.0], Reduction::Cancel), [0.0, 0.0, 0.0, 0.0]);
    assert_eq!(reduce(&[5.0, -1.0, 2.0], Reduction::Cancel), [4.0, 0.0, 2.0]);
    assert_eq!(reduce(&[1.0, 1.0, -1.0], Reduction::TopN(1)), [1.0, 0.0, 0.0]);
}

#[test]
fn a_cluster_is_one_component() {
    let cluster = clusters(&[3.0, 2.0, 2.0 - 1e-4, 1.0]);
    assert_eq!(cluster, [0, 1, 1, 2]);
    // The members' signs are chance, only their sum 1 is defined: it meets nothing negative.
    let alpha = [2.0, 4.0, -3.0, 0.5];
    let reduced = reduce_clusters(&alpha, &cluster, Reduction::Cancel);
    for (a, r) in alpha.iter().zip(&reduced) {
        assert!((a - r).abs() < 1e-15);
    }
    // Together they lose against −2, each in proportion.
    let reduced = reduce_clusters(&[-2.0, 4.0, -3.0, 0.5], &cluster, Reduction::Cancel);
    assert_eq!(reduced, [-0.5, 0.0, 0.0, 0.0]);
}

#[test]
fn names_of_reductions() {
    assert_eq!("cancel".parse::<Reduction>().unwrap(), Reduction::Cancel);
    assert_eq!("pro-rata".parse::<Reduction>().unwrap(), Reduction::ProRata);
    assert_eq!("top:3".parse::<Reduction>().unwrap(), Reduction::TopN(3));
    assert_eq!("quantile:0.9".parse::<Reduction>().unwrap(), Reduction::Quantile(0.9));
    for wrong in ["", "top", "top:0", "top:x", "quantile:2", "quantile:NaN", "half"] {
        let error = wrong.parse::<Reduction>().unwrap_err().to_string();
        assert!(error.contains("pro-rata"), "{error}");
    }
}
