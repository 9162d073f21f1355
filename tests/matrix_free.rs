//! The largest triplets of operators that are never formed: accuracy, bounds, memory.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use eigenlens::Device;
use eigenlens::kernels::Activation;
use eigenlens::network::local::SlopeForm;
use eigenlens::network::{ActivationNode, Dense, Initialisation, Layout, Network, Parameters, Weight};
use eigenlens::random::Random;
use eigenlens::specxai::{
    Apply, ExplainSettings, Form, LocalOperator, MatrixFree, Output, Product, decompose, explain, top_triplets,
};

/// Counts what lives on the heap.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The tests of this file measure memory, so they run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        let live = LIVE.fetch_add(memory.size(), Ordering::Relaxed) + memory.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, place: *mut u8, memory: Memory) {
        LIVE.fetch_sub(memory.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const N: usize = 4096;
const M: usize = 512;
const HIDDEN: usize = 512;

/// 4096-512-512-512, with ReLU that random biases keep partly open. The first weight's rows are scaled by `scale(j)`.
fn network(scale: impl Fn(usize) -> f64, open: bool) -> (Network, Parameters) {
    let dense = |units| Dense { units, weight: Weight::Direct, train_bias: true };
    let mut network = Network::new(&[N]);
    network.then(dense(HIDDEN)).unwrap();
    network.then(ActivationNode { activation: Activation::Relu }).unwrap();
    network.then(dense(HIDDEN)).unwrap();
    network.then(ActivationNode { activation: Activation::Relu }).unwrap();
    network.then(dense(M)).unwrap();
    let layout = Layout::new(&network);
    let mut parameters = layout.initial(Initialisation::Glorot, 11);
    let mut random = Random::new(12, 0);
    for (layer, node) in [1, 3, 5].into_iter().enumerate() {
        let weight = layout.find(node, "weight").unwrap();
        let mut values = vec![0.0; weight.rows * weight.cols];
        for (j, row) in values.chunks_exact_mut(weight.cols).enumerate() {
            let size = if layer == 0 { scale(j) / (weight.cols as f64).sqrt() } else { 0.0 };
            for (i, x) in row.iter_mut().enumerate() {
                // The later layers mix little: an identity with some noise keeps the first one's spectrum.
                let x64 = if layer == 0 {
                    size * random.normal()
                } else {
                    f64::from(u8::from(i == j)) + 0.1 * random.normal() / (weight.cols as f64).sqrt()
                };
                *x = f64::from(x64 as f32);
            }
        }
        parameters.set(weight, &values);
        let bias = layout.find(node, "bias").unwrap();
        let values: Vec<f64> =
            (0..bias.cols).map(|_| if open { 30.0 } else { f64::from(random.normal() as f32) }).collect();
        parameters.set(bias, &values);
    }
    (network, parameters)
}

fn input() -> Vec<f64> {
    let mut random = Random::new(13, 0);
    (0..N).map(|_| f64::from(random.normal() as f32)).collect()
}

/// All singular values, from the formed operator.
fn whole(network: &Network, parameters: &Parameters, device: &Device) -> Vec<f64> {
    let last = network.nodes.len() - 1;
    let products = [Product::Jacobian(last)];
    let mut operator = LocalOperator::new(network, parameters, &products, SlopeForm::Tangent, 1, device).unwrap();
    operator.load(&input()).unwrap();
    let j = operator.jacobian(last).unwrap();
    let rows: Vec<&[f64]> = (0..M).map(|r| j.row(0, r)).collect();
    decompose(&rows, N, f64::from(f32::EPSILON)).sigma
}

fn settings(network: &Network) -> ExplainSettings {
    ExplainSettings { form: Form::Top, ..ExplainSettings::at(&[network.nodes.len() - 1]) }
}

#[test]
fn a_falling_spectrum_in_little_memory() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    // Rows of nearly orthogonal random directions with norms 1/k: so fall the singular values.
    let (network, parameters) = network(|j| 1.0 / (j + 1) as f64, true);
    let device = Device::Cpu { threads: 2 };
    let truth = whole(&network, &parameters, &device);
    assert!((truth[15] / truth[0] * 16.0 - 1.0).abs() < 0.2, "σ₁₅ is about a 16th of σ₀: {}", truth[15] / truth[0]);
    let input = input();

    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let mut operator =
        MatrixFree::new(&network, &parameters, network.nodes.len() - 1, SlopeForm::Tangent, &device).unwrap();
    operator.load(&input).unwrap();
    let found = top_triplets(&mut operator, 16, 1e-5, 1e-6).unwrap();
    let peak = PEAK.load(Ordering::Relaxed) - before;

    assert_eq!(found.sigma.len(), 16);
    for (k, (sigma, truth)) in found.sigma.iter().zip(&truth).enumerate() {
        assert!((sigma / truth - 1.0).abs() < 1e-4, "σ{k} is {sigma}, not {truth}");
    }
    // The engine's copy of the weights, and of the input, the nodes' outputs, slopes and intercepts.
    let weights = parameters.len() * 4;
    let activations = 4 * (N + 2 * (HIDDEN * 4) + M);
    // Loading converts the parameters, which are the caller's f64.
    let working = peak - weights - activations;
    assert!(working < 2 << 20, "{} KiB of working memory", working >> 10);
    println!("working memory {} KiB", working >> 10);
}

#[test]
fn bounds_hold_on_a_flat_spectrum() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let (network, parameters) = network(|_| 1.0, false);
    for device in [Device::Cpu { threads: 2 }, Device::CpuF64 { threads: 2 }] {
        let truth = whole(&network, &parameters, &device);
        let mut operator =
            MatrixFree::new(&network, &parameters, network.nodes.len() - 1, SlopeForm::Tangent, &device).unwrap();
        operator.load(&input()).unwrap();
        let found = top_triplets(&mut operator, 16, 1e-5, 1e-6).unwrap();
        assert_eq!(operator.shape(), (M, N));
        for (k, (sigma, bound)) in found.sigma.iter().zip(&found.bound).enumerate() {
            // Weyl: a singular value lies within the residual of an approximate triplet; rounding of f32 is below 1e-5.
            let nearest = truth.iter().map(|t| (t - sigma).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= bound + 1e-5 * truth[0], "σ{k} = {sigma}: nearest {nearest}, bound {bound}");
            // The iteration ends at 1e-5 σ₀; measuring the bound in f32 adds a few times as much.
            assert!(*bound <= 1e-4 * truth[0], "σ{k}: the bound says nothing: {bound}");
            assert!((sigma / truth[k] - 1.0).abs() < 1e-4, "σ{k} is {sigma}, not {}", truth[k]);
            assert!(*sigma <= truth[k] * (1.0 + 1e-5), "Ritz values come from below");
        }
        for (k, (p, image)) in found.left.iter().zip(&found.images).enumerate() {
            let mut block = p.clone();
            block.resize(operator.block() * M, 0.0);
            let again = operator.apply_transpose(&block).unwrap();
            // The same product with other neighbours in its block: the same but for the order of sums in f32.
            let off: f64 = image.iter().zip(&again).map(|(a, b)| (a - b).powi(2)).sum();
            assert!(image.len() == N && off.sqrt() < 1e-5 * truth[0], "the image of {k} is off by {}", off.sqrt());
        }
        for (i, p) in found.left.iter().enumerate() {
            for q in &found.left[..=i] {
                let dot: f64 = p.iter().zip(q).map(|(a, b)| a * b).sum();
                let expected = if std::ptr::eq(p, q) { 1.0 } else { 0.0 };
                assert!((dot - expected).abs() < 1e-9, "orthonormal");
            }
        }
    }
}

#[test]
fn nothing_is_found_where_no_row_is_on() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let (network, parameters) = network(|_| 1.0, false);
    let last = network.nodes.len() - 1;
    let device = Device::Cpu { threads: 2 };
    let mut operator = MatrixFree::new(&network, &parameters, last, SlopeForm::Tangent, &device).unwrap();
    operator.load(&input()).unwrap();
    operator.keep(|_| false);
    let found = top_triplets(&mut operator, 16, 1e-5, 1e-6).unwrap();
    assert!(found.sigma.is_empty() && found.complete);
}

#[test]
fn explanations_complete_themselves_with_the_remainder() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let (network, parameters) = network(|j| 1.0 / (j + 1) as f64, true);
    let x = input();
    for device in [Device::Cpu { threads: 2 }, Device::CpuF64 { threads: 2 }] {
        let free = ExplainSettings { output: Output::Index(3), components: 6, ..settings(&network) };
        let formed = ExplainSettings { form: Form::Auto, ..free.clone() };
        let one = |settings: &ExplainSettings| {
            explain(&network, &parameters, &x, settings, &device).unwrap().explanations.remove(0)
        };
        let (free, formed) = (one(&free), one(&formed));
        assert_eq!((free.contributions.len(), free.maps.len(), free.bounds.len()), (6, 6, 6));
        assert!(formed.contributions.len() > 100 && formed.bounds.is_empty());
        assert!(free.residual <= 1e-5 && free.map_residual <= 1e-5, "{} {}", free.residual, free.map_residual);
        // What six components leave over is no small thing.
        assert!(free.remainder.abs() > 1e-3 * free.alpha_sum().abs());
        let size: f64 = formed.contributions.iter().map(|c| c.alpha.abs()).sum();
        for (a, b) in free.contributions.iter().zip(&formed.contributions) {
            assert!((a.alpha - b.alpha).abs() < 1e-4 * size, "{a:?} {b:?}");
        }
    }
}
