//! Feeds damaged ONNX models to the reader and runs what it takes: no input may make it panic.
//!
//! `cargo run --release --example fuzz_onnx [COUNT [SEED [FILE.onnx …]]]`
//!
//! Every input is one of the files, or a graph of operators put together at random, with bytes changed, cut off, repeated or exchanged with
//! another's. What panics, or takes more than ten seconds, is written to `fuzz-NUMBER.onnx`, and the exit code is 1.

#[path = "fuzz/harness.rs"]
mod harness;

#[path = "../src/model_file/onnx/encode.rs"]
#[allow(dead_code)]
mod encode;
#[path = "../src/model_file/onnx/samples.rs"]
#[allow(dead_code)]
mod samples;

use eigenlens::Device;
use eigenlens::model_file::onnx;
use eigenlens::network::local::SlopeForm;
use eigenlens::specxai::LocalOperator;
use encode::{Bytes, attribute_float, attribute_int, floats, node, tensor, value};
use harness::Random;
use samples::{attribute_ints, ints, model};

/// Elements of all nodes of a sample up to which what was read is run: it may have become any size.
const MOST_RUN: usize = 20_000;

/// Every operator that the reader knows, by the sentence that lists them.
fn operators() -> Vec<String> {
    let nodes = [node("Unheard", "here", &["x"], &["y"], &[])];
    let problem = onnx::parse("list.onnx", &whole(&[-1, 3], &nodes, &[])).expect_err("no such operator").to_string();
    let list = problem.split_once("supported are ").expect("the sentence lists them").1;
    list.split([',', '.']).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn whole(input: &[i64], nodes: &[Bytes], initializers: &[Bytes]) -> Vec<u8> {
    let graph = nodes.iter().fold(Bytes::default(), |graph, node| graph.message(1, node.clone())).bytes(2, "g");
    let graph = initializers.iter().fold(graph, |graph, tensor| graph.message(5, tensor.clone()));
    model(graph.message(11, value("x", encode::FLOAT, input)).message(12, value("y", encode::FLOAT, &[-1, 1]))).0
}

/// A small number, now and then one that makes no sense.
fn number(random: &mut Random) -> i64 {
    match random.below(24) {
        0 => i64::MAX - random.below(3) as i64,
        1 => i64::MIN + random.below(3) as i64,
        2 => 1 << random.below(40),
        _ => random.below(5) as i64 - 1,
    }
}

fn attributes(random: &mut Random) -> Vec<Bytes> {
    let lists = [
        "axes",
        "kernel_shape",
        "pads",
        "strides",
        "dilations",
        "perm",
        "output_padding",
        "output_shape",
        "starts",
        "ends",
    ];
    let singles = [
        "axis",
        "keepdims",
        "group",
        "transB",
        "ceil_mode",
        "blocksize",
        "num_groups",
        "size",
        "antialias",
        "to",
        "is_causal",
        "q_num_heads",
        "kv_num_heads",
    ];
    let texts =
        [("auto_pad", "SAME_LOWER"), ("mode", "linear"), ("mode", "cubic"), ("mode", "reflect"), ("mode", "CRD")];
    let one = |random: &mut Random| match random.below(4) {
        0 => {
            let list: Vec<i64> = (0..random.below(5)).map(|_| number(random)).collect();
            attribute_ints(lists[random.below(lists.len())], &list)
        }
        1 => attribute_int(singles[random.below(singles.len())], number(random)),
        2 => attribute_float(["alpha", "epsilon", "beta"][random.below(3)], random.below(7) as f32 / 2.0 - 1.0),
        _ => {
            let (name, text) = texts[random.below(texts.len())];
            Bytes::default().bytes(1, name).bytes(4, text).int(20, 3)
        }
    };
    (0..random.below(4)).map(|_| one(random)).collect()
}

/// The graphs of an If, which read what is around them; now and then one inside them has graphs of its own.
fn branches(random: &mut Random, names: &[String], operators: &[String], depth: usize) -> Vec<Bytes> {
    let mut branch = |which: &str| {
        let mut own = names.to_vec();
        let mut graph = Bytes::default().bytes(2, which);
        for i in 0..random.below(3) {
            let nested = random.below(3) == 0 && depth < 3;
            let operator = if nested { "If" } else { operators[random.below(operators.len())].as_str() };
            let attributes = if nested { branches(random, &own, operators, depth + 1) } else { attributes(random) };
            let at = if random.below(2) == 0 { own.len() - 1 } else { random.below(own.len()) };
            let reads = [own[at].as_str(), own[random.below(own.len())].as_str()];
            let made = format!("b{depth}{i}");
            graph = graph.message(1, node(operator, "", &reads[..1 + random.below(2)], &[&made], &attributes));
            own.push(made);
        }
        let output = value(
            &own[if random.below(4) == 0 { random.below(own.len()) } else { own.len() - 1 }],
            encode::FLOAT,
            &[-1, 1],
        );
        Bytes::default().bytes(1, which).message(6, graph.message(12, output)).int(20, 5)
    };
    ["then_branch", "else_branch"].map(&mut branch).to_vec()
}

/// A graph of a few operators, which read what is there.
fn graph(random: &mut Random, operators: &[String]) -> Vec<u8> {
    let size = |random: &mut Random| 1 + random.below(4) as i64;
    let input: Vec<i64> = [if random.below(3) == 0 { 2 } else { -1 }]
        .into_iter()
        .chain((0..1 + random.below(4)).map(|_| size(random)))
        .collect();
    let mut names = vec!["x".to_owned()];
    let mut constants = Vec::new();
    for i in 0..random.below(5) {
        let dims: Vec<i64> = (0..random.below(5)).map(|_| size(random)).collect();
        let count = dims.iter().product::<i64>() as usize;
        let name = format!("c{i}");
        constants.push(match random.below(5) {
            0 | 1 => {
                let values: Vec<f32> = (0..count).map(|_| random.below(9) as f32 / 2.0 - 2.0).collect();
                floats(&name, &dims, &values)
            }
            2 | 3 => {
                let values: Vec<i64> = (0..count).map(|_| number(random)).collect();
                ints(&name, &dims, &values)
            }
            _ => tensor(&name, 9, &dims, &(0..count).map(|_| random.below(2) as u8).collect::<Vec<u8>>()),
        });
        names.push(name);
    }
    constants.push(tensor("truth", 9, &[], &[random.below(2) as u8]));
    let count = 1 + random.below(3) * random.below(3);
    let mut nodes = Vec::new();
    for i in 0..count {
        // The last value, mostly.
        let first = if random.below(4) == 0 { random.below(names.len()) } else { names.len() - 1 };
        let more: Vec<usize> = (0..random.below(4)).map(|_| random.below(names.len())).collect();
        let reads: Vec<&str> = [first].into_iter().chain(more).map(|at| names[at].as_str()).collect();
        let reads: Vec<&str> = if i == 0 { [&["x"], &reads[1..]].concat() } else { reads };
        let made = if i + 1 == count { "y".to_owned() } else { format!("v{i}") };
        let more = ["Shape", "ConstantOfShape", "Range", "Where", "Equal", "QuantizeLinear"];
        let at = random.below(operators.len() + more.len());
        let operator = operators.get(at).map_or_else(|| more[at - operators.len()], String::as_str);
        let name = format!("n{i}");
        nodes.push(match random.below(12) {
            0 => node("If", &name, &["truth"], &[&made], &branches(random, &names, operators, 0)),
            _ => node(operator, &name, &reads, &[&made], &attributes(random)),
        });
        names.push(made);
    }
    whole(&input, &nodes, &constants)
}

/// Reads, and runs what was read; whether it was.
fn try_out(bytes: &[u8]) -> bool {
    let Ok(found) = onnx::parse("fuzz.onnx", bytes) else { return false };
    let elements: usize = found.network.nodes.iter().map(|node| node.width()).sum();
    if elements <= MOST_RUN {
        let device = Device::CpuF64 { threads: 1 };
        let x = vec![0.5; found.network.input_width()];
        let operator = LocalOperator::new(&found.network, &found.parameters, &[], SlopeForm::Tangent, 1, &device);
        if let Ok(mut operator) = operator {
            operator.load(&x).and_then(|()| operator.output()).expect("a network that was read runs");
        }
    }
    true
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().map_or(100_000, |n| n.parse().expect("COUNT is a number"));
    let seed: u64 = arguments.next().map_or(1, |n| n.parse().expect("SEED is a number"));
    let files: Vec<Vec<u8>> = arguments.map(|path| std::fs::read(path).expect("the file is readable")).collect();
    let operators = operators();
    let next = |random: &mut Random| match random.below(files.len() + 4) {
        n if n < files.len() => files[n].clone(),
        _ => graph(random, &operators),
    };
    std::process::exit(harness::run("onnx", count, seed, next, try_out));
}
