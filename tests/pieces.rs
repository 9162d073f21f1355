//! Data that a model reads piece by piece.

use eigenlens::data::{Dataset, Feature, Missing, Request, Values, load, pieces};
use npyz::{AutoSerialize, Order, WriterBuilder};

use crate::common::files::{Fixture, floats};
use crate::common::npz::NpzWriter as Archive;

fn table(content: impl AsRef<[u8]>) -> Fixture {
    Fixture::new("table.csv", content)
}

fn add<T: AutoSerialize + Copy>(npz: &mut Archive, name: &str, shape: &[u64], values: &[T]) {
    add_in(Order::C, npz, name, shape, values);
}

fn add_in<T: AutoSerialize + Copy>(order: Order, npz: &mut Archive, name: &str, shape: &[u64], values: &[T]) {
    let options = npz.array::<T>(name);
    let mut writer = options.default_dtype().order(order).shape(shape).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

/// What a model reads in pieces is what it reads at once.
#[test]
fn pieces_make_the_whole() {
    let (rows, columns) = (1000, 7);
    let values: Vec<f64> = (0..rows * columns).map(|i| 1e9 + ((i * 7919) % 1009) as f64 / 7.0).collect();
    let bytes: Vec<u8> = (0..rows * columns).map(|i| (i * 7919 % 251) as u8).collect();
    let file = |order: Order, wide: bool| {
        let file = Fixture::new("arrays.npz", "");
        let npz = &mut Archive::create(&file.path);
        let shape = [rows as u64, columns as u64];
        if wide {
            add_in(order, npz, "X", &shape, &values);
            add_in(order, npz, "X_test", &shape, &values[..]);
        } else {
            add_in(order, npz, "X", &shape, &bytes);
        }
        let y: Vec<i64> = (0..rows as i64).map(|i| i % 2).collect();
        add(npz, "y", &[rows as u64], &y);
        if wide {
            add(npz, "y_test", &[rows as u64], &y);
        }
        file
    };
    for (order, wide) in [(Order::C, true), (Order::Fortran, true), (Order::C, false), (Order::Fortran, false)] {
        let file = file(order, wide);
        let trained = load(&file.request()).unwrap();
        let request = Request {
            expect: Some(trained.features.clone()),
            axes: Some(trained.axes.clone()),
            origins: trained.origins.clone(),
            need_target: false,
            ..file.request()
        };
        let (mut at_once, mut parts) = (load(&request).unwrap(), Vec::new());
        assert_eq!(at_once.x, trained.x);
        pieces(&request, 64, &mut |piece| {
            parts.push(piece);
            Ok(())
        })
        .unwrap();
        let count = if matches!(order, Order::C) { 16 } else { 1 } * if wide { 2 } else { 1 };
        assert_eq!(parts.len(), count);
        assert_eq!(parts.iter().map(|piece| piece.rows).sum::<usize>(), at_once.rows);
        for piece in &parts {
            assert_eq!((&piece.origins, &piece.features), (&at_once.origins, &at_once.features));
        }
        let own = std::mem::replace(&mut at_once.x, Values::U8(Vec::new()));
        match own {
            Values::U8(all) => {
                let parts = parts.into_iter().flat_map(|p| if let Values::U8(x) = p.x { x } else { panic!("numbers") });
                assert_eq!(parts.collect::<Vec<u8>>(), all);
            }
            Values::F32(all) => {
                let parts = parts.into_iter().flat_map(|p| if let Values::F32(x) = p.x { x } else { panic!("bytes") });
                assert_eq!(parts.collect::<Vec<f32>>(), all);
            }
        }
    }
}

/// What a model reads in pieces is what it reads at once, and a bad cell is found in any piece.
#[test]
fn pieces_of_a_table_make_the_whole() {
    let cell = |i: usize| if i % 17 == 3 { String::new() } else { format!("{}", i * 7919 % 1009) };
    let line = |i: usize| format!("{},{},{}\n", cell(i), ["u", "v", ""][i % 3], "z".repeat(i % 90));
    let text: String = ["a,c,note\n".to_owned()].into_iter().chain((0..60_000).map(line)).collect();
    let file = table(&text);
    let features = ["c=u", "c=v"].map(|name| Feature::new(name, Some(0)));
    let expect = [features.to_vec(), vec![Feature::new("a", None)]].concat();
    let request = Request {
        expect: Some(expect),
        origins: vec![0.0, 0.0, 500.0],
        need_target: false,
        missing: Missing::Mean,
        ..file.request()
    };
    let whole = load(&request).unwrap();
    let mut parts: Vec<Dataset> = Vec::new();
    let mut keep = |piece| {
        parts.push(piece);
        Ok(())
    };
    pieces(&request, 1000, &mut keep).unwrap();
    assert!(parts.len() == 60 && parts.iter().all(|piece| piece.rows == 1000), "{} pieces", parts.len());
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(parts.iter().flat_map(|piece| bits(floats(piece))).collect::<Vec<_>>(), bits(floats(&whole)));
    let mut rows = 0;
    let mut filled = Vec::new();
    for piece in &parts {
        filled.extend(piece.filled.iter().map(|cell| cell + 3 * rows));
        rows += piece.rows;
    }
    assert_eq!(filled, whole.filled);
    assert_eq!(parts.iter().flat_map(|piece| piece.notes.clone()).collect::<Vec<_>>(), whole.notes);
    let wrong = table(text.replace("\n,,", "\nx,,").replacen("\nx,,", "\n,,", 700));
    let request = Request { source: wrong.request().source, ..request };
    let mut taken = 0;
    let result = pieces(&request, 1000, &mut |piece| {
        taken += piece.rows;
        Ok(())
    });
    let error = result.unwrap_err().to_string();
    assert!(error.contains("\"x\" is not a number") && error.contains("line ") && taken > 0, "{error}");
}
