//! How an operator is decomposed: which forms there are, what each would take, and which one fits.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::kept::{decided, digest};
use super::krylov::Apply;
use super::matrix_free::MatrixFree;
use super::middle::{held_bytes, middle};
use super::operator::{LocalOperator, Product};
use super::settings::{ExplainSettings, Form};
use crate::engine::Device;
use crate::network::{Network, NodeId, Parameters};
use crate::random::Random;
use crate::{Error, Result};

/// What a form would take for one row of the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub form: Form,
    /// Different rows of R that it decomposes.
    pub rows: usize,
    pub seconds: f64,
    pub bytes: usize,
}

/// How a split is decomposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitPlan {
    #[serde(skip)]
    pub split: NodeId,
    /// Never [`Form::Auto`].
    pub form: Form,
    /// R is formed in one product.
    pub at_once: bool,
    /// Rows of R.
    pub rows: usize,
    /// Those that are not zero at the input looked at, where anything had to be weighed.
    pub on: Option<usize>,
    /// What each form would take, by a product that was timed; empty where nothing had to be weighed.
    pub estimates: Vec<Estimate>,
    /// Node at which the rows are held while their Gram matrix is made (0: the input), if they are.
    #[serde(skip)]
    pub middle: Option<NodeId>,
}

impl SplitPlan {
    /// What the form that was chosen takes.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.estimates.iter().find(|estimate| estimate.form == self.form)
    }
}

/// Bytes of all matrices of a Jacobian made in one product, up to which that is quickest.
const AT_ONCE: usize = 128 << 20;

/// Whether R is formed in one product with all its rows (or columns).
fn at_once(network: &Network, split: NodeId, settings: &ExplainSettings) -> bool {
    let (m, n) = (network.nodes[split].width(), network.input_width());
    let widths: usize = network.nodes[..=split].iter().map(|node| node.width()).sum();
    let bytes = |a: usize, b: usize| a.saturating_mul(b).saturating_mul(4);
    let fits = bytes(m, n) <= settings.memory && bytes(m.min(n), widths) <= AT_ONCE.min(settings.memory);
    fits && matches!(settings.form, Form::Auto | Form::Complete)
}

/// Whether the form is given, and is one that takes little memory: with a single split nobody chooses by what it takes.
fn is_settled(settings: &ExplainSettings) -> bool {
    settings.splits.len() == 1 && matches!(settings.form, Form::Contributions | Form::Top)
}

/// Chooses a form for every split, by what it would take at one input `x: [N]`. A single split in the form `Contributions` or `Top`, given,
/// is not weighed; of several splits whoever chooses among them reads what each takes.
///
/// # Errors
/// [`Error::Usage`] for a complete form beyond `settings.memory`; the engine's own.
pub fn plan(
    network: &Network,
    parameters: &Parameters,
    x: &[f64],
    settings: &ExplainSettings,
    device: &Device,
) -> Result<Vec<SplitPlan>> {
    if settings.splits.iter().all(|&split| at_once(network, split, settings)) {
        return weighed(network, parameters, x, settings, device);
    }
    // Chosen by the clock: whoever goes on goes on with the same.
    let work = || digest(network, parameters, x, settings, &format!("{:?}", precision(device)));
    let text = decided(&settings.keep, work, || {
        let plans = weighed(network, parameters, x, settings, device)?;
        let told: Vec<_> = plans.iter().map(|plan| (plan.split, plan.middle, plan)).collect();
        Ok(serde_json::to_string(&told).expect("invariant: plans can be written as JSON"))
    })?;
    let told: Vec<(NodeId, Option<NodeId>, SplitPlan)> =
        serde_json::from_str(&text).expect("invariant: what was written is read, and a digest stands behind it");
    Ok(told.into_iter().map(|(split, middle, plan)| SplitPlan { split, middle, ..plan }).collect())
}

/// [`plan`] of what isn't decided yet.
fn weighed(
    network: &Network,
    parameters: &Parameters,
    x: &[f64],
    settings: &ExplainSettings,
    device: &Device,
) -> Result<Vec<SplitPlan>> {
    let large: Vec<NodeId> =
        settings.splits.iter().copied().filter(|&split| !at_once(network, split, settings)).collect();
    let mut left = vec![None; network.nodes.len()];
    if !large.is_empty() && !is_settled(settings) {
        let products = [Product::Trace];
        let mut operator = LocalOperator::new(network, parameters, &products, settings.slopes, 1, device)?;
        operator.load(x)?;
        let y = operator.output()?;
        let cotangent = settings.output.of(y.row(0, 0)).cotangent(y.cols);
        left = operator.trace(&cotangent)?;
    }
    let one = |&split: &NodeId| {
        let at_once = !large.contains(&split);
        if at_once || is_settled(settings) {
            let rows = network.nodes[split].width();
            let (form, estimates) = (if at_once { Form::Complete } else { settings.form }, Vec::new());
            return Ok(SplitPlan { split, form, at_once, rows, on: None, estimates, middle: None });
        }
        let mut operator = MatrixFree::new(network, parameters, split, settings.slopes, device)?;
        let reads = |row: usize| left[split].as_ref().is_some_and(|blocks| blocks.row(0, 0)[row] != 0.0);
        weigh(&mut operator, network, x, reads, (settings, precision(device).1))
    };
    settings.splits.iter().map(one).collect()
}

/// Times a product and says what each form would take.
fn weigh(
    operator: &mut MatrixFree,
    network: &Network,
    x: &[f64],
    reads: impl Fn(usize) -> bool,
    (settings, bytes): (&ExplainSettings, usize),
) -> Result<SplitPlan> {
    let (rows, n) = operator.whole_shape();
    operator.load(x)?;
    let on = operator.on().len();
    let (different, class_rows) = (operator.shape().0, operator.different(reads));
    let mut random = Random::new(0, 0x71e);
    // Any numbers but zeros will do.
    let u: Vec<f64> = (0..operator.block() * different).map(|_| random.uniform()).collect();
    let clock = Instant::now();
    let v = operator.apply_transpose(&u)?;
    let pull = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    operator.apply(&v)?;
    let push = clock.elapsed().as_secs_f64();
    let block = operator.block() as f64;
    let all = |form: Form, rows: usize| {
        let held = middle(network, operator.node(), rows, bytes, settings.memory);
        let blocks = (rows as f64 / block).ceil();
        // Where there are fewer inputs than rows, the smaller Gram matrix is that of the columns.
        let (order, products, gram, bytes) = match way((rows, n), held.map(|at| at.width), bytes, settings.memory) {
            Way::Formed => (rows.min(n), pull, (rows * n) as f64 * rows.min(n) as f64 * GRAM, rows * n * 16),
            Way::Held => {
                let at = held.expect("invariant: where rows are held there is a middle");
                let all = (at.above + at.below).max(1) as f64;
                let products = (at.above as f64 * pull + at.below as f64 * (pull + push)) / all;
                let gram = (rows * at.width) as f64 * rows as f64 * GRAM_SINGLE;
                (rows, products, gram, held_bytes(rows, at.width, bytes).max(rows * rows * 24))
            }
            Way::Products => (rows, pull + push, 0.0, rows * rows * 24),
        };
        Estimate { form, rows, seconds: blocks * products + gram + (order as f64).powi(3) * EIGEN, bytes }
    };
    let some = |form: Form, directions: usize| {
        let products = (directions as f64 / block).ceil() * (pull + push);
        Estimate { form, rows: different, seconds: products, bytes: different * directions * 16 }
    };
    let estimates = vec![
        all(Form::Complete, different),
        all(Form::ClassRows, class_rows),
        some(Form::Contributions, directions(settings.components)),
        some(Form::Top, 8 * (settings.components + operator.block())),
    ];
    let fits = |estimate: &Estimate| estimate.seconds <= settings.budget && estimate.bytes <= settings.memory;
    let form = match settings.form {
        Form::Auto if fits(&estimates[0]) => Form::Complete,
        Form::Auto if class_rows < different && fits(&estimates[1]) => Form::ClassRows,
        Form::Auto => Form::Contributions,
        asked => asked,
    };
    if matches!(form, Form::Complete | Form::ClassRows) {
        let estimate = estimates.iter().find(|e| e.form == form).expect("invariant: every form has its estimate");
        if estimate.bytes > settings.memory {
            let gigabytes = estimate.bytes.div_ceil(1 << 20);
            return Err(Error::Usage(format!(
                "the {} form of a split with {} rows on would take {gigabytes} MiB; allow it with --memory {gigabytes}, or take another \
                 --form or --split",
                if form == Form::Complete { "complete" } else { "class-rows" },
                estimate.rows
            )));
        }
    }
    // Only the complete forms hold rows.
    let decomposed = match form {
        Form::Complete => Some(different),
        Form::ClassRows => Some(class_rows),
        _ => None,
    };
    let middle = decomposed.and_then(|rows| middle(network, operator.node(), rows, bytes, settings.memory));
    let middle = middle.map(|at| at.node);
    Ok(SplitPlan { split: operator.node(), form, at_once: false, rows, on: Some(on), estimates, middle })
}

/// How a complete decomposition is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The rows of R are formed (twice, in double precision) and decomposed.
    Formed,
    /// Rows are held at a middle, and their Gram matrix is multiplied.
    Held,
    /// Nothing is held: the Gram matrix's columns come from products.
    Products,
}

/// The first that fits, of R with such a shape, whose rows have numbers of so many bytes and `held` columns at a middle.
pub(super) fn way((rows, n): (usize, usize), held: Option<usize>, bytes: usize, memory: usize) -> Way {
    if rows.saturating_mul(n).saturating_mul(16) <= memory {
        return Way::Formed;
    }
    held.filter(|&width| held_bytes(rows, width, bytes) <= memory).map_or(Way::Products, |_| Way::Held)
}

/// The precision of an engine's arithmetic, and the bytes of a number.
pub(super) fn precision(device: &Device) -> (f64, usize) {
    if matches!(device, Device::CpuF64 { .. }) { (f64::EPSILON, 8) } else { (f64::from(f32::EPSILON), 4) }
}

/// Directions of the Krylov space in which `k` contributions are looked for.
pub(super) fn directions(k: usize) -> usize {
    3 * k + 48
}

/// Seconds for a multiply-add of a Gram matrix (in double precision, and of one triangle in single), and for the cube of an eigenproblem's
/// order: of two cores at 3 GHz.
const GRAM: f64 = 2e-11;
const GRAM_SINGLE: f64 = 4e-12;
const EIGEN: f64 = 9e-11;
