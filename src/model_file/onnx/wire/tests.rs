use std::path::Path;

use super::super::encode::{Bytes, FLOAT, attribute_int, floats, node, value};
use super::super::samples::{Random, attribute_ints, graph, ints, model, small_model};
use super::*;

fn read(bytes: &[u8]) -> Result<Model<'_>> {
    read_model(Path::new("m.onnx"), bytes)
}

/// A model of one node, with these attributes.
fn one_node(attributes: &[Bytes]) -> Bytes {
    graph(&[node("Relu", "r", &["x"], &["y"], attributes)], &[])
}

#[test]
fn a_model_is_read() {
    let bytes = small_model();
    let model = read(&bytes).unwrap();
    assert_eq!(
        (model.ir_version, model.producer, model.opset(""), model.opset("ai.onnx.ml")),
        (8, "by hand", Some(17), None)
    );
    assert_eq!(model.metadata, [("author", "a test")]);
    let graph = &model.graph;
    assert_eq!(
        graph.nodes.iter().map(|n| n.op_type).collect::<Vec<_>>(),
        ["Shape", "Constant", "Gather", "Concat", "Reshape", "Gemm"]
    );
    let fc = &graph.nodes[5];
    assert_eq!((fc.name, &fc.inputs[..], &fc.outputs[..]), ("fc", &["f", "w", "b"][..], &["y"][..]));
    assert_eq!((fc.int("transB"), fc.int("transA")), (Ok(Some(1)), Ok(None)));
    assert_eq!(fc.float("transB"), Err("its attribute transB is not a float".into()));
    assert_eq!(graph.nodes[1].tensor("value").unwrap().unwrap().dims, [1]);
    assert_eq!((graph.initializers[1].name, &graph.initializers[1].dims[..]), ("w", &[2, 3][..]));
    assert_eq!((&graph.initializers[2].dims[..], &graph.initializers[2].floats[..]), (&[2][..], &[0.5, -0.5][..]));
    let ValueKind::Tensor { elem_type: 1, shape: Some(shape) } = &graph.inputs[0].kind else { panic!("a tensor") };
    assert_eq!(shape[..], [Length::Name("batch"), Length::Number(3)]);
}

#[test]
fn attributes_of_every_kind() {
    let named = |name: &str| Bytes::default().bytes(1, name);
    let inner = graph(&[node("Relu", "", &["x"], &["y"], &[])], &[]);
    let attributes = [
        attribute_ints("ints", &[1, -2]),
        named("packed").packed(8, &[3, -4]).int(20, 7),
        named("none").int(20, 7),
        named("zero").int(20, 2),
        named("float").float(2, 1.5).int(20, 1),
        named("floats").float(7, 0.5).bytes(7, [0, 0, 128, 63]).int(20, 6),
        named("text").bytes(4, "same").int(20, 3),
        named("bytes").bytes(4, [255]).int(20, 3),
        named("texts").bytes(9, "a").bytes(9, "b").int(20, 8),
        named("body").message(6, inner).int(20, 5),
        // Before `type` was there, and a kind that isn't read.
        named("old").int(3, 7),
        named("sparse").bytes(22, "").int(20, 11),
    ];
    let bytes = model(one_node(&attributes)).0;
    let model = read(&bytes).unwrap();
    let node = &model.graph.nodes[0];
    assert_eq!((node.ints("ints"), node.ints("packed")), (Ok(Some(&[1, -2][..])), Ok(Some(&[3, -4][..]))));
    assert_eq!((node.ints("none"), node.int("zero"), node.int("old")), (Ok(Some(&[][..])), Ok(Some(0)), Ok(Some(7))));
    assert_eq!(node.float("float"), Ok(Some(1.5)));
    assert_eq!(node.text("text"), Ok(Some("same")));
    assert!(node.text("bytes").is_err(), "not UTF-8");
    assert!(matches!(node.attribute("texts"), Some(AttributeValue::Strings(texts)) if texts[..] == [b"a", b"b"]));
    assert_eq!(node.subgraphs().map(|graph| graph.nodes[0].op_type).collect::<Vec<_>>(), ["Relu"]);
    assert_eq!(node.graph("body").unwrap().unwrap().outputs[0].name, "y");
    assert!(node.graph("ints").is_err() && node.graph("none at all").unwrap().is_none());
    assert!(matches!(node.attribute("sparse"), Some(AttributeValue::Other("a sparse tensor"))));
}

#[test]
fn unknown_fields_are_passed_over() {
    let unknown = |bytes: Bytes| bytes.int(1000, -1).double(1001, 1.0).bytes(1002, "x").float(1003, 1.0);
    let bytes = unknown(model(unknown(graph(&[unknown(node("Relu", "r", &["x"], &["y"], &[]))], &[])))).0;
    assert_eq!(read(&bytes).unwrap().graph.nodes[0].op_type, "Relu");
}

#[test]
fn every_refusal_is_a_sentence() {
    let in_node = |bytes: &[u8]| model(Bytes::default().bytes(1, bytes)).0;
    let tensor = |tensor: Bytes| model(graph(&[node("Relu", "r", &["x"], &["y"], &[])], &[tensor])).0;
    let function = Bytes::default().bytes(1, "Relu").bytes(10, "");
    let long = [&[0x38][..], &[255; 9], &[2]].concat();
    let cases: [(&[u8], &str); 24] = [
        (b"", "m.onnx: file: the file is empty, not an ONNX model; give an .onnx file"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html lang=\"de\">\xc3\xa4", "it is a text file"),
        (b"\x80\x02}q\0.", "it is a Python pickle"),
        (&[0x08], "byte 1: 1 bytes should follow and 0 do: the file is cut off or damaged"),
        (&[0x0b], "byte 0: field 1 is a group"),
        (&[0x0f], "the wire type 7"),
        (&[0x00, 0x00], "the number 0"),
        (&long, "byte 1: a number has more than 64 bits"),
        (&[0x09, 0, 0, 0, 0, 0, 0, 0, 0], "byte 0: field 1 holds a 64-bit number where an integer should be"),
        (&[0x3a, 255, 255, 255, 255, 255, 255, 255, 255, 127, 8], "9223372036854775807 bytes should follow and 1 do"),
        (&[0x08, 8, 0x42, 0], "it holds no graph"),
        (&model(Bytes::default().bytes(2, "g")).0, "graph: its graph has no nodes"),
        (&model(one_node(&[])).message(7, one_node(&[])).0, "two graphs"),
        (&Bytes::default().message(7, one_node(&[])).0, "of what version its operators are"),
        (&in_node(b"\x22\x02\xff\xff"), "node 0, byte 17: the text of field 4 is not UTF-8"),
        (&in_node(b"\x1a\x05conv1"), "node 0 (conv1): it doesn't say what operator it is"),
        (&model(one_node(&[attribute_int("", 1)])).0, "node 0 (r), attribute: it has no name"),
        (&model(one_node(&[Bytes::default().bytes(1, "a").int(20, 99)])).0, "node 0 (r), attribute a: its type 99"),
        (&tensor(Bytes::default().bytes(8, "w").bytes(3, "")), "initializer 0 (w): it is stored in segments"),
        (&tensor(Bytes::default().bytes(8, "w").bytes(4, [0; 7])), "in the middle of a number"),
        (&model(one_node(&[]).bytes(15, "")).0, "sparse initialisers"),
        (&model(one_node(&[])).message(25, function).0, "node 0 (r): Relu is a function of this file's own"),
    ];
    for (bytes, expected) in cases {
        let found = read(bytes).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}\nshould contain\n{expected}");
    }
    assert!(read(&tensor(ints("", &[1], &[1]))).unwrap_err().to_string().contains("initializer 0: it has no name"));
    let unused = Bytes::default().bytes(1, "Swish").bytes(10, "own");
    assert!(read(&model(one_node(&[])).message(25, unused).0).is_ok(), "a function that isn't used does no harm");
}

#[test]
fn names_are_shown_short_and_plain() {
    let name = format!("a\x1b[31m{}", "b".repeat(100));
    assert_eq!(shown(&name), format!("a?[31m{}", "b".repeat(54)));
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let whole = small_model();
    // Behind the graph and the operator sets everything may be missing.
    let enough =
        whole.len() - Bytes::default().message(14, Bytes::default().bytes(1, "author").bytes(2, "a test")).0.len();
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]).is_ok(), length == enough, "{length} of {} bytes", whole.len());
    }
}

#[test]
fn an_empty_shape_is_none_of_an_unknown_rank() {
    let scalar = value("s", FLOAT, &[]);
    let unsaid = Bytes::default().bytes(1, "u").message(2, Bytes::default().message(1, Bytes::default().int(1, 1)));
    let sequence = Bytes::default().bytes(1, "q").message(2, Bytes::default().bytes(4, ""));
    let of_rank = Bytes::default()
        .bytes(1, "n")
        .message(2, Bytes::default().message(1, Bytes::default().int(1, 1).message(2, Bytes::default().bytes(1, ""))));
    let bytes = model([scalar, unsaid, sequence, of_rank].into_iter().fold(one_node(&[]), |g, v| g.message(13, v))).0;
    let model = read(&bytes).unwrap();
    let kinds: Vec<&ValueKind> = model.graph.values.iter().map(|v| &v.kind).collect();
    assert!(matches!(kinds[0], ValueKind::Tensor { shape: Some(shape), .. } if shape.is_empty()));
    assert!(matches!(kinds[1], ValueKind::Tensor { shape: None, .. }));
    assert!(matches!(kinds[2], ValueKind::Other("a sequence")));
    assert!(matches!(kinds[3], ValueKind::Tensor { shape: Some(shape), .. } if shape[..] == [Length::Unknown]));
}

#[test]
fn random_bytes_are_read_or_refused() {
    let mut random = Random(7);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.below(256) as u8).collect();
        let _ = read(&bytes);
    }
    let whole = model(graph(&[], &[floats("w", &[2], &[1.0, 2.0])]).message(1, one_node(&[]))).0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        let _ = read(&bytes);
    }
}
