//! Nodes with spatial axes against their definitions, written out as loops.

use eigenlens::Device;
use eigenlens::network::local::SlopeForm;
use eigenlens::network::{
    AveragePool, By, Convolution, Coordinates, Interpolation, Layer, Layout, MaxPoolNode, Network, Padding, Parameters,
    Resize, Rounding, Scale, Sliding, TransposedConvolution, Weight,
};
use eigenlens::random::Random;
use eigenlens::specxai::{LocalOperator, Product};

const F64: Device = Device::CpuF64 { threads: 2 };

/// One layer with random parameters on random samples `[2, shape…]`: parameters by name, inputs, outputs of both samples,
/// intercepts of the first.
struct Ran {
    parameters: Vec<(&'static str, Vec<f64>)>,
    x: Vec<f64>,
    y: Vec<f64>,
    intercept: Vec<f64>,
    shape: Vec<usize>,
}

fn run(shape: &[usize], layer: impl Into<Layer>) -> Ran {
    let mut network = Network::new(shape);
    let node = network.then(layer).unwrap();
    let layout = Layout::new(&network);
    let mut random = Random::new(5, 5);
    let mut p = Parameters::zeros(&layout);
    let parameters = layout.tensors.iter().map(|tensor| {
        let values: Vec<f64> = (0..tensor.rows * tensor.cols).map(|_| random.normal()).collect();
        p.set(tensor, &values);
        (tensor.name, values)
    });
    let parameters = parameters.collect();
    let x: Vec<f64> = (0..2 * network.input_width()).map(|_| random.normal()).collect();
    let mut operator = LocalOperator::new(&network, &p, &[Product::Intercepts], SlopeForm::Tangent, 2, &F64).unwrap();
    operator.load(&x).unwrap();
    let y = operator.output().unwrap().into_packed();
    let intercept = operator.intercept(node).unwrap().map_or(vec![], |q| q.row(0, 0).to_vec());
    Ran { parameters, x, y, intercept, shape: network.output().shape.clone() }
}

impl Ran {
    fn parameter(&self, name: &str) -> &[f64] {
        &self.parameters.iter().find(|(n, _)| *n == name).unwrap().1
    }
}

/// Of sums of some tens of products in another order.
fn close(found: &[f64], expected: &[f64], what: &str) {
    within(1e-12, found, expected, what);
}

fn within(tolerance: f64, found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < tolerance * (1.0 + b.abs()), "{what}, element {i}: {a}, expected {b}");
    }
}

/// An element of a picture with padding around it.
fn padded(picture: &[f64], [h, w]: [usize; 2], i: isize, j: isize) -> Option<f64> {
    let inside = (0..h as isize).contains(&i) && (0..w as isize).contains(&j);
    inside.then(|| picture[i as usize * w + j as usize])
}

#[test]
fn convolution_is_its_definition() {
    let [c, h, w, m, groups] = [4, 7, 6, 6, 2];
    let (kernel, stride, dilation, before, after) = ([3, 2], [2, 1], [1, 2], [1, 0], [0, 3]);
    let sliding = Sliding {
        kernel: kernel.into(),
        stride: stride.into(),
        dilation: dilation.into(),
        padding: Padding::Explicit { before: before.into(), after: after.into() },
        ceil: false,
    };
    let ran = run(&[c, h, w], Convolution { filters: m, sliding, groups, weight: Weight::Direct, train_bias: true });
    let (oh, ow) = ((h + 1 - 3) / 2 + 1, (w + 3 - 3) + 1);
    assert_eq!(ran.shape, [m, oh, ow]);
    let (weight, bias, of_group) = (ran.parameter("weight"), ran.parameter("bias"), c / groups);
    let mut expected = Vec::new();
    for sample in ran.x.chunks_exact(c * h * w) {
        for o in 0..m {
            for (p, q) in (0..oh).flat_map(|p| (0..ow).map(move |q| (p, q))) {
                let mut sum = bias[o];
                for ci in 0..of_group {
                    let channel = o / (m / groups) * of_group + ci;
                    for (a, b) in (0..3).flat_map(|a| (0..2).map(move |b| (a, b))) {
                        let (i, j) = ((p * 2 + a) as isize - 1, (q + 2 * b) as isize);
                        let x = padded(&sample[channel * h * w..][..h * w], [h, w], i, j).unwrap_or(0.0);
                        sum += weight[((o * of_group + ci) * 3 + a) * 2 + b] * x;
                    }
                }
                expected.push(sum);
            }
        }
    }
    close(&ran.y, &expected, "convolution");
    let spread: Vec<f64> = (0..m * oh * ow).map(|i| bias[i / (oh * ow)]).collect();
    close(&ran.intercept, &spread, "its intercept is the bias everywhere");
}

/// Every input element adds its multiple of the kernel to the output, wherever that lies inside.
#[test]
fn transposed_convolution_is_its_definition() {
    let [c, h, w, m, groups] = [4, 3, 4, 6, 2];
    let (kernel, stride, dilation, before, more) = ([3, 2], [2, 3], [1, 2], [1, 0], [1, 2]);
    let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
    // One element less behind, along the second axis.
    let (oh, ow) = ((h - 1) * 2 + reach(0) - 1 + more[0], (w - 1) * 3 + reach(1) - 1 + more[1]);
    let sliding = Sliding {
        kernel: kernel.into(),
        stride: stride.into(),
        dilation: dilation.into(),
        padding: Padding::Explicit { before: before.into(), after: vec![0, 1] },
        ceil: false,
    };
    let layer = TransposedConvolution { channels: m, output: vec![oh, ow], sliding, groups, train_bias: true };
    let ran = run(&[c, h, w], layer);
    assert_eq!(ran.shape, [m, oh, ow]);
    let (weight, bias, made) = (ran.parameter("weight"), ran.parameter("bias"), m / groups);
    let mut expected = Vec::new();
    for sample in ran.x.chunks_exact(c * h * w) {
        let mut y: Vec<f64> = (0..m * oh * ow).map(|i| bias[i / (oh * ow)]).collect();
        for (i, x) in sample.iter().enumerate() {
            let (channel, p, q) = (i / (h * w), i / w % h, i % w);
            for k in 0..made * 6 {
                let (o, a, b) = (k / 6, k / 2 % 3, k % 2);
                let at = [(p * 2 + a) as isize - 1, (q * 3 + 2 * b) as isize];
                if (0..oh as isize).contains(&at[0]) && (0..ow as isize).contains(&at[1]) {
                    let to = channel / (c / groups) * made + o;
                    y[(to * oh + at[0] as usize) * ow + at[1] as usize] += weight[channel * made * 6 + k] * x;
                }
            }
        }
        expected.extend(y);
    }
    close(&ran.y, &expected, "transposed convolution");
    let spread: Vec<f64> = (0..m * oh * ow).map(|i| bias[i / (oh * ow)]).collect();
    close(&ran.intercept, &spread, "its intercept is the bias everywhere");
}

/// What one axis of a picture becomes, of whole numbers.
fn resized(x: &[f64], made: usize, scale: f64, coordinates: Coordinates, interpolation: Interpolation) -> Vec<f64> {
    let layer = Resize {
        shape: vec![1, made],
        scales: vec![1.0, scale],
        coordinates,
        interpolation,
        exclude_outside: false,
        antialias: false,
    };
    let mut network = Network::new(&[1, x.len()]);
    network.then(layer).unwrap();
    let p = Parameters::new(vec![], vec![]);
    let mut operator = LocalOperator::new(&network, &p, &[], SlopeForm::Tangent, 1, &F64).unwrap();
    operator.load(x).unwrap();
    operator.output().unwrap().into_packed()
}

/// Places are in single precision, as in other programs: roundings of 1e-7 of weights of order 1.
#[test]
fn resizing_is_its_definition() {
    let nearest =
        |rounding, coordinates| resized(&[0.0, 1.0, 2.0, 3.0], 6, 1.5, coordinates, Interpolation::Nearest(rounding));
    // Points at −1/6, 1/2, 7/6, 11/6, 5/2, 19/6.
    assert_eq!(nearest(Rounding::PreferFloor, Coordinates::HalfPixel), [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]);
    assert_eq!(nearest(Rounding::PreferCeil, Coordinates::HalfPixel), [0.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
    assert_eq!(nearest(Rounding::Floor, Coordinates::HalfPixel), [0.0, 0.0, 1.0, 1.0, 2.0, 3.0]);
    assert_eq!(nearest(Rounding::Ceil, Coordinates::HalfPixel), [0.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    // At 0, 2/3, 4/3, 2, 8/3, 10/3.
    assert_eq!(nearest(Rounding::Floor, Coordinates::Asymmetric), [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]);
    let linear =
        |made, scale, coordinates| resized(&[0.0, 10.0, 40.0], made, scale, coordinates, Interpolation::Linear);
    within(1e-6, &linear(5, 5.0 / 3.0, Coordinates::AlignCorners), &[0.0, 5.0, 10.0, 25.0, 40.0], "align corners");
    within(1e-6, &linear(6, 2.0, Coordinates::HalfPixel), &[0.0, 2.5, 7.5, 17.5, 32.5, 40.0], "half pixel");
    within(1e-6, &linear(6, 2.0, Coordinates::Asymmetric), &[0.0, 5.0, 10.0, 25.0, 40.0, 40.0], "asymmetric");
    within(1e-6, &linear(1, 1.0 / 3.0, Coordinates::PytorchHalfPixel), &[0.0], "one element");
    within(1e-6, &linear(1, 1.0 / 3.0, Coordinates::HalfPixel), &[10.0], "one element, half pixel");
    // Keys' kernel with a = −½ keeps parabolas, away from the edges.
    let parabola: Vec<f64> = (0..9).map(|i| f64::from(i * i)).collect();
    let cubic = resized(&parabola, 27, 3.0, Coordinates::HalfPixel, Interpolation::Cubic { a: -0.5 });
    let points: Vec<f64> = (6..21).map(|o| (f64::from(o) + 0.5) / 3.0 - 0.5).collect();
    within(1e-6, &cubic[6..21], &points.iter().map(|x| x * x).collect::<Vec<_>>(), "cubic");
}

#[test]
fn pooling_is_its_definition() {
    let [c, h, w] = [3, 6, 7];
    for ceil in [false, true] {
        let sliding = Sliding {
            stride: vec![2, 2],
            padding: Padding::Explicit { before: vec![1, 0], after: vec![1, 1] },
            ceil,
            ..Sliding::new(&[3, 3])
        };
        // ⌊(6 + 2 − 3)/2⌋ + 1 and ⌊(7 + 1 − 3)/2⌋ + 1; rounded up: one more each.
        let [oh, ow] = if ceil { [4, 4] } else { [3, 3] };
        // What rounding up adds isn't padding, where there is none.
        let bare = Sliding { padding: Padding::Valid, ..sliding.clone() };
        let plain = Sliding { padding: Padding::Explicit { before: vec![0; 2], after: vec![0; 2] }, ..sliding.clone() };
        let mean = |sliding| run(&[c, h, w], AveragePool { sliding, count_padding: true }).y;
        assert_eq!(mean(bare), mean(plain));
        let max = run(&[c, h, w], MaxPoolNode { sliding: sliding.clone() });
        assert_eq!(max.shape, [c, oh, ow]);
        let mut expected = [vec![], vec![], vec![]];
        for picture in max.x.chunks_exact(h * w) {
            for (p, q) in (0..oh).flat_map(|p| (0..ow).map(move |q| (p, q))) {
                let at = |a: usize, b: usize| ((2 * p + a) as isize - 1, (2 * q + b) as isize);
                let places: Vec<_> = (0..3).flat_map(|a| (0..3).map(move |b| at(a, b))).collect();
                let seen: Vec<f64> = places.iter().filter_map(|&(i, j)| padded(picture, [h, w], i, j)).collect();
                let sum: f64 = seen.iter().sum();
                // Padding that was asked for counts, what rounding up adds doesn't.
                let counted = places.iter().filter(|&&(i, j)| i < 6 + 1 && j < 7 + 1).count();
                expected[0].push(seen.iter().fold(f64::MIN, |a, &b| a.max(b)));
                expected[1].push(sum / seen.len() as f64);
                expected[2].push(sum / counted as f64);
            }
        }
        close(&max.y, &expected[0], "max-pool");
        for count_padding in [false, true] {
            let mean = run(&[c, h, w], AveragePool { sliding: sliding.clone(), count_padding });
            close(&mean.y, &expected[1 + usize::from(count_padding)], "average pool");
            assert!(mean.intercept.is_empty());
        }
    }
}

#[test]
fn scales_are_their_definition() {
    for (by, each) in [(By::Channel, 6), (By::Element, 1)] {
        let ran = run(&[2, 2, 3], Scale { by });
        let (scale, shift) = (ran.parameter("scale"), ran.parameter("shift"));
        let y: Vec<f64> =
            ran.x.iter().enumerate().map(|(i, x)| scale[i % 12 / each] * x + shift[i % 12 / each]).collect();
        close(&ran.y, &y, "scale");
        let q: Vec<f64> = (0..12).map(|i| shift[i / each]).collect();
        close(&ran.intercept, &q, "its intercept is the shift");
    }
}

#[test]
fn what_doesn_t_fit_is_told() {
    let convolution =
        |sliding, groups| Convolution { filters: 2, sliding, groups, weight: Weight::Direct, train_bias: true };
    let transposed = |output: &[usize], groups| {
        let sliding = Sliding::new(&[3]);
        TransposedConvolution { channels: 4, output: output.into(), sliding, groups, train_bias: true }
    };
    let resize = |shape: &[usize], scale| Resize {
        shape: shape.into(),
        scales: vec![1.0, scale],
        coordinates: Coordinates::HalfPixel,
        interpolation: Interpolation::Linear,
        exclude_outside: false,
        antialias: true,
    };
    let cases: [(Layer, &[usize], &str); 11] = [
        (transposed(&[5], 1).into(), &[2, 4], "no room"),
        (transposed(&[6, 6], 1).into(), &[2, 4], "2 spatial axes"),
        (transposed(&[6], 3).into(), &[3, 4], "3 groups"),
        (resize(&[1, 4], f64::NAN).into(), &[1, 2], "can't be resized"),
        (resize(&[1, 1000], 1e-6).into(), &[1, 4], "terms"),
        (convolution(Sliding::new(&[3]), 1).into(), &[4], "spatial axis"),
        (convolution(Sliding::new(&[3]), 1).into(), &[4, 2], "reaches over 3"),
        (convolution(Sliding::new(&[3, 3]), 1).into(), &[4, 5], "2 sizes for 1"),
        (convolution(Sliding::new(&[3]), 3).into(), &[4, 5], "3 groups"),
        (convolution(Sliding::new(&[1; 4]), 1).into(), &[1, 1, 1, 1, 1], "1 to 3"),
        (
            MaxPoolNode {
                sliding: Sliding {
                    padding: Padding::Explicit { before: vec![2], after: vec![0] },
                    ..Sliding::new(&[2])
                },
            }
            .into(),
            &[1, 4],
            "nothing but padding",
        ),
    ];
    for (layer, shape, part) in cases {
        let error = Network::new(shape).then(layer).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
