//! Replicas that train on rows of their own, as the folds of a cross-validation do.

use crate::common::training::{CPU, dataset, gpu, network, resident, settings, train};
use eigenlens::Error;
use eigenlens::kernels::Activation;
use eigenlens::network::Place;
use eigenlens::train::{Job, Resident, Settings};

/// Three folds of 60 rows: every replica holds other 20 out.
fn folds(weighted: bool) -> (Resident, Vec<Vec<u32>>) {
    let mut data = resident(&dataset(60, 6, false), 20);
    if weighted {
        data.weights = (0..60).map(|r| 0.5 + (r % 7) as f32 / 6.0).collect();
    }
    let list = |fold: u32| {
        let held = fold * 20..(fold + 1) * 20;
        (0..60).filter(|r| !held.contains(r)).chain(held.clone()).collect()
    };
    let lists = (0..3).map(list).collect();
    (data, lists)
}

/// A replica of three with a list of its own is, bit for bit, the network alone on those rows: parameters, scores on either
/// part, outputs; with early stopping too, where each keeps its best by its own validation rows.
#[test]
fn a_fold_among_others_is_the_fold_alone() {
    let network = network(6, &[8], Activation::Relu, Place::First, 2);
    for (weighted, device) in [(false, CPU), (true, CPU), (true, gpu())] {
        let (data, lists) = folds(weighted);
        let base = Settings { early_stop: Some(6), ..settings(6, 16, 1e-3, 1e-3) };
        let seeds = |r: usize| Settings::ensemble(3, 5, 1e-3, 1e-3)[r];
        let together = Resident { lists: lists.clone(), ..data.clone() };
        let all = Settings { replicas: (0..3).map(seeds).collect(), ..base.clone() };
        let (_, mut job) = train(&network, &together, &all, None, &device).unwrap();
        let (fitted, held) = (job.evaluate(0..40).unwrap(), job.evaluate(40..60).unwrap());
        for (fold, list) in lists.iter().enumerate() {
            let alone = Resident { list: list.clone(), ..data.clone() };
            let one = Settings { replicas: vec![seeds(fold)], ..base.clone() };
            let (_, mut single) = train(&network, &alone, &one, None, &device).unwrap();
            assert_eq!(job.parameters(fold).unwrap(), single.parameters(0).unwrap(), "{device}: fold {fold}");
            assert_eq!(
                (fitted[fold], held[fold]),
                (single.evaluate(0..40).unwrap()[0], single.evaluate(40..60).unwrap()[0])
            );
            assert_eq!(job.predict(fold, 40..60).unwrap(), single.predict(0, 40..60).unwrap());
        }
        // And they are different networks, on different rows.
        assert!(held[0] != held[1] && job.parameters(0).unwrap() != job.parameters(1).unwrap());
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let network = network(6, &[8], Activation::Relu, Place::None, 2);
    let (data, lists) = folds(false);
    let refused = |lists: Vec<Vec<u32>>, networks: usize| {
        let replicas = Settings::ensemble(networks, 5, 1e-3, 1e-3);
        let settings = Settings { replicas, ..settings(1, 16, 1e-3, 1e-3) };
        let job = Job::new(&network, &Resident { lists, ..data.clone() }, &settings, None, &CPU);
        matches!(job.err(), Some(Error::Shape(text)) if text.contains("row lists"))
    };
    assert!(refused(lists.clone(), 2) && refused(lists[..2].to_vec(), 3));
    assert!(refused(vec![vec![0; 60], vec![0; 59]], 2));
    assert!(!refused(lists, 3));
}
