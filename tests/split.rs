//! Splits, scaling and fingerprints of data sets.

use std::collections::HashSet;
use std::fs;

use eigenlens::data::{Dataset, Missing, Request, ScaleKind, Scaling, TargetScaling, Targets, Task, load, split};

/// Loads a table with the target column `y`.
fn table(content: impl AsRef<[u8]>, change: impl Fn(&mut Request)) -> eigenlens::Result<Dataset> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.csv");
    fs::write(&path, content).unwrap();
    let mut request = Request::new(path.to_str().unwrap());
    request.target = Some("y".into());
    change(&mut request);
    load(&request)
}

fn labels(dataset: &Dataset) -> &[u32] {
    let Targets::Classes { labels, .. } = &dataset.y else { panic!("{:?}", dataset.y) };
    labels
}

#[test]
fn a_class_without_training_rows_is_refused() {
    let mut data = table("a,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,7\n", |r| r.task = Some(Task::Classify)).unwrap();
    data.test_from = Some(4);
    let message = split(&data, 0.0, 0.0, 0).unwrap_err().to_string();
    for part in ["table.csv", "training rows", "class \"7\"", "--classes"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    let chosen = data.keep_classes(&["0".into(), "1".into()]).unwrap();
    assert_eq!(split(&chosen, 0.0, 0.0, 0).unwrap().test, [4]);
}

#[test]
fn a_test_set_of_its_own_leaves_the_rest_to_validation() {
    let rows: String = (0..40).map(|i| format!("{i},{}\n", i % 2)).collect();
    let mut data = table(format!("a,y\n{rows}"), |_| {}).unwrap();
    data.test_from = Some(20);
    let parts = split(&data, 0.8, 0.2, 0).unwrap();
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (4, 16, 20));
    assert!(split(&data, 0.8, 1.2, 0).is_err(), "no share at all");
    data.test_from = None;
    assert!(split(&data, 0.8, 0.2, 0).is_err());
}

#[test]
fn many_small_classes_have_their_share_of_every_part() {
    let sizes = |rows_each: &[usize], validation, test| {
        let rows: String = rows_each.iter().enumerate().flat_map(|(c, &n)| vec![format!("1,c{c:03}\n"); n]).collect();
        let data = table(format!("a,y\n{rows}"), |_| {}).unwrap();
        let parts = split(&data, validation, test, 3).unwrap();
        let labels = labels(&data);
        for class in 0..rows_each.len() as u32 {
            assert!(parts.train.iter().any(|&r| labels[r as usize] == class), "class {class} has a training row");
        }
        (parts.train.len(), parts.validation.len(), parts.test.len())
    };
    assert_eq!(sizes(&[3; 40], 0.1, 0.1), (96, 12, 12));
    assert_eq!(sizes(&[4; 25], 0.1, 0.2), (70, 10, 20));
    // Classes of one row spare none, and the next class doesn't pay for all of them.
    assert_eq!(sizes(&[&[1; 50][..], &[20]].concat(), 0.1, 0.2), (62, 3, 5));
    assert_eq!(sizes(&[10, 10], 0.0, 0.0), (20, 0, 0));
}

#[test]
fn splits_and_scaling() {
    let rows: String = (0..100).map(|i| format!("{i},7,{}\n", usize::from(i % 4 == 0))).collect();
    let data = table(format!("a,b,y\n{rows}"), |_| {}).unwrap();
    let parts = split(&data, 0.2, 0.2, 5).unwrap();
    let labels = labels(&data);
    let ones = |rows: &[u32]| rows.iter().filter(|&&r| labels[r as usize] == 1).count();
    assert_eq!((parts.train.len(), parts.validation.len(), parts.test.len()), (60, 20, 20));
    assert_eq!((ones(&parts.train), ones(&parts.validation), ones(&parts.test)), (15, 5, 5));
    let mut all = [&parts.train[..], &parts.validation, &parts.test].concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..100));
    assert_eq!(split(&data, 0.2, 0.2, 5).unwrap(), parts);
    assert_ne!(split(&data, 0.2, 0.2, 6).unwrap(), parts);
    assert!(split(&data, 0.5, 0.5, 5).is_err());
    let scaling = Scaling::fit(ScaleKind::Standard, &data, &(0..100).collect::<Vec<_>>()).unwrap();
    assert_eq!(scaling.constant(), [false, true]);
    assert_eq!((scaling.shift[0], scaling.shift[1], scaling.scale[1]), (49.5, 7.0, 1.0));
    assert!((scaling.scale[0] - 1.0 / 28.866_07).abs() < 1e-6);
}

#[test]
fn a_column_without_known_training_values_is_refused() {
    let data = table("a,b,y\n1,,0\n2,,1\n3,4,1\n", |r| r.missing = Missing::Mean).unwrap();
    let message = Scaling::fit(ScaleKind::Standard, &data, &[0, 1]).unwrap_err().to_string();
    for part in ["table.csv", "column \"b\"", "no training row", "--drop"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert_eq!(Scaling::fit(ScaleKind::Standard, &data, &[0, 2]).unwrap().fill, [2.0, 4.0]);
}

#[test]
fn tiny_spreads_are_none() {
    let data = table("a,b,y\n0,1,1e-44\n1e-44,2,0\n0,3,0\n", |r| r.task = Some(Task::Regress)).unwrap();
    for kind in [ScaleKind::Standard, ScaleKind::MinMax, ScaleKind::Unit, ScaleKind::None] {
        let scaling = Scaling::fit(kind, &data, &[0, 1, 2]).unwrap();
        assert!(scaling.scale.iter().chain(&scaling.std).all(|s| s.is_finite()), "{scaling:?}");
        assert_eq!(scaling.constant(), [true, false], "{scaling:?}");
    }
    assert_eq!(Scaling::fit(ScaleKind::Standard, &data, &[0, 1, 2]).unwrap().scale[0], 1.0);
    assert_eq!(TargetScaling::fit(&data, &[0, 1, 2]).unwrap().scale, [1.0]);
    let data = table("a,y\n0,0\n1e-44,1\n", |_| {}).unwrap();
    assert_eq!(Scaling::fit(ScaleKind::Unit, &data, &[0, 1]).unwrap().scale, [1.0]);
}

#[test]
fn fingerprints_tell_data_apart() {
    let data = table("a,y\n1,no\n2,yes\n3,no\n", |_| {}).unwrap();
    let prints = [
        data.fingerprint(),
        table("a,y\n1,red\n2,yes\n3,red\n", |_| {}).unwrap().fingerprint(),
        table("a,y\n1,no\n2,yes\n4,no\n", |_| {}).unwrap().fingerprint(),
        table("a,y\n1,no\n2,yes\n3,yes\n", |_| {}).unwrap().fingerprint(),
        Dataset { test_from: Some(2), ..data.clone() }.fingerprint(),
        Dataset { test_from: Some(1), ..data.clone() }.fingerprint(),
    ];
    let distinct: HashSet<u64> = prints.into_iter().collect();
    assert_eq!(distinct.len(), prints.len());
    assert_eq!(data.clone().fingerprint(), data.fingerprint());
}
