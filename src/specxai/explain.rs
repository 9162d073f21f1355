//! The explanation of an output at an input: contributions at each split, intercepts, and the receipt that they add up.

use std::cell::OnceCell;

use super::complete::complete;
use super::contributions::contributions;
use super::cuts::is_cut;
use super::decomposition::{Contribution, Triplets, clusters, decompose, dot, rank_threshold};
use super::explanation::{Explanation, InterceptTerm};
use super::form::{SplitPlan, Way, directions, plan, precision, way};
use super::found::{Found, Images};
use super::kept::{Kept, digest};
use super::krylov::Apply;
use super::matrix_free::{BLOCK, COMPLETE_BLOCK, MatrixFree, TOP_BLOCK};
use super::middle::Middle;
use super::operator::{Blocks, LocalOperator, Product};
use super::output::Output;
use super::regions::Patterns;
use super::settings::{ExplainSettings, Form};
use super::surgery::{reduce_clusters, shares};
use super::topk::top_triplets;
use super::watch::{Watch, Watched, Work};
use crate::engine::Device;
use crate::host::{Operand, product};
use crate::network::{Layer, Network, NodeId, Parameters};
use crate::train::Flow;
use crate::{Error, Result};

/// Explanations of many inputs.
#[derive(Debug, Clone)]
pub struct Explained {
    /// By row, then by split.
    pub explanations: Vec<Explanation>,
    /// For each input the number of its linear region (inputs with one number share one affine map); `None` when the
    /// network has smooth activations, where every input has slopes of its own.
    pub regions: Option<Vec<usize>>,
}

/// Explains `inputs: [rows, N]`, the tensors that enter the graph (after scaling).
///
/// # Errors
/// [`Error::Usage`] for an output that isn't there or an input that is not finite; the engine's own.
pub fn explain(
    network: &Network,
    parameters: &Parameters,
    inputs: &[f64],
    settings: &ExplainSettings,
    device: &Device,
) -> Result<Explained> {
    let mut explanations = Vec::new();
    let regions = explain_each(network, parameters, inputs, settings, device, &mut |explanation| {
        explanations.push(explanation);
        Flow::Continue
    })?;
    Ok(Explained { explanations, regions })
}

/// [`explain`] that hands over each explanation as soon as it is made (by row, then by split) and keeps none: for many
/// inputs, whose maps would fill the memory. `each` may stop. Returns the inputs' linear regions.
///
/// # Errors
/// As [`explain`].
pub fn explain_each(
    network: &Network,
    parameters: &Parameters,
    inputs: &[f64],
    settings: &ExplainSettings,
    device: &Device,
    each: &mut dyn FnMut(Explanation) -> Flow,
) -> Result<Option<Vec<usize>>> {
    settings.output.check(network.output().width())?;
    check_inputs(network, inputs)?;
    let Some(first) = inputs.chunks_exact(network.input_width()).next() else { return Ok(None) };
    let plans = plan(network, parameters, first, settings, device)?;
    explain_planned(network, parameters, inputs, settings, &plans, device, each, &mut |_| Flow::Continue)
}

fn check_inputs(network: &Network, inputs: &[f64]) -> Result<()> {
    let n = network.input_width();
    if let Some(i) = inputs.iter().position(|x| !x.is_finite()) {
        return Err(Error::Usage(format!(
            "input {} of row {} is not a finite number; fill or leave out such cells",
            i % n,
            i / n
        )));
    }
    Ok(())
}

/// [`explain_each`] with the forms that [`plan`] chose, one plan for each split.
///
/// # Errors
/// As [`explain`], and [`Error::Stopped`] where `watch` stopped a decomposition.
#[expect(clippy::too_many_arguments, reason = "explain_each's, with the plans and who watches")]
pub fn explain_planned(
    network: &Network,
    parameters: &Parameters,
    inputs: &[f64],
    settings: &ExplainSettings,
    plans: &[SplitPlan],
    device: &Device,
    each: &mut dyn FnMut(Explanation) -> Flow,
    watch: &mut Watch<'_>,
) -> Result<Option<Vec<usize>>> {
    let n = network.input_width();
    settings.output.check(network.output().width())?;
    check_inputs(network, inputs)?;
    let splits = |at_once: bool| plans.iter().filter(move |plan| plan.at_once == at_once).map(|plan| plan.split);
    let (whole, large): (Vec<NodeId>, Vec<NodeId>) = (splits(true).collect(), splits(false).collect());
    let mut products = vec![Product::Trace, Product::Intercepts, Product::Slopes];
    products.extend(whole.iter().map(|&s| Product::Jacobian(s)));
    let all = || plans.iter().map(|plan| plan.split);
    products.extend(all().filter(|&s| !is_cut(network, s)).map(Product::Bypass));
    let rows = inputs.len() / n;
    let mut operator = LocalOperator::new(network, parameters, &products, settings.slopes, rows, device)?;
    let mut largest = plans
        .iter()
        .filter(|plan| !plan.at_once)
        .map(|p| {
            let most = match p.form {
                Form::Top => TOP_BLOCK,
                Form::Complete | Form::ClassRows => COMPLETE_BLOCK,
                Form::Contributions | Form::Auto => BLOCK,
            };
            MatrixFree::through(network, parameters, (p.middle, p.split), most, settings.slopes, device)
        })
        .collect::<Result<Vec<MatrixFree>>>()?;
    let (epsilon, _) = precision(device);
    let key = OnceCell::new();
    let how = || plans.iter().map(|plan| format!("{} {:?} {} {:?} ", plan.split, plan.form, plan.at_once, plan.middle));
    let how = || format!("{}{:?}", how().collect::<String>(), precision(device));
    let key = || *key.get_or_init(|| digest(network, parameters, inputs, settings, &how()));
    let mut patterns = Patterns::new(network);
    for (tile, inputs) in inputs.chunks(operator.batch() * n).enumerate() {
        let first = tile * operator.batch();
        operator.load(inputs)?;
        let batch = Batch::new(&mut operator, inputs, first, settings.output)?;
        patterns.add(&mut operator, inputs.len() / n)?;
        let mut by_split = Vec::new();
        for (of, &SplitPlan { split, form, .. }) in plans.iter().enumerate() {
            let bypass = if is_cut(network, split) { None } else { operator.bypass(split, &batch.cotangents)? };
            let at = AtSplit { network, split, form, batch: &batch, settings, bypass, epsilon };
            let kept = |i: usize| Kept::new(&settings.keep, key, (first + i) * plans.len() + of);
            by_split.push(if let Some(place) = large.iter().position(|&s| s == split) {
                (0..batch.rows())
                    .map(|i| at.explain_row(i, &mut largest[place], watch, kept(i)))
                    .collect::<Result<_>>()?
            } else {
                at.explain_formed(&mut operator, kept(0))?
            });
        }
        let mut by_split: Vec<_> = by_split.into_iter().map(Vec::into_iter).collect();
        for _ in 0..inputs.len() / n {
            for explanation in by_split.iter_mut().filter_map(Iterator::next) {
                if each(explanation) == Flow::Stop {
                    return Ok(patterns.regions);
                }
            }
        }
    }
    Ok(patterns.regions)
}

/// What all splits of a batch share.
struct Batch<'a> {
    inputs: &'a [f64],
    first: usize,
    n: usize,
    y: Vec<f64>,
    /// Every output, `[rows, C]`.
    all: Blocks,
    outputs: Vec<Output>,
    cotangents: Vec<f64>,
    trace: Vec<Option<Blocks>>,
    intercepts: Vec<Vec<InterceptTerm>>,
}

impl<'a> Batch<'a> {
    fn new(operator: &mut LocalOperator, inputs: &'a [f64], first: usize, output: Output) -> Result<Self> {
        let n = operator.network().input_width();
        let rows = inputs.len() / n;
        let y = operator.output()?;
        let outputs: Vec<Output> = (0..rows).map(|i| output.of(y.row(i, 0))).collect();
        let by_row: Vec<Vec<f64>> = outputs.iter().map(|o| o.cotangent(y.cols)).collect();
        let values = by_row.iter().enumerate().map(|(i, u)| dot(u, y.row(i, 0))).collect();
        let cotangents = by_row.concat();
        let trace = operator.trace(&cotangents)?;
        let mut intercepts = vec![Vec::new(); rows];
        for (id, cotangent) in trace.iter().enumerate() {
            let Some(cotangent) = cotangent else { continue };
            // Activations through zero made of straight pieces have no intercept.
            let node = &operator.network().nodes[id];
            if matches!(&node.layer, Layer::Activation(layer) if layer.activation.piecewise_linear()) {
                continue;
            }
            let name = node.name.clone();
            let Some(q) = operator.intercept(id)? else { continue };
            let shared = q.values.len() == q.ld;
            for (i, terms) in intercepts.iter_mut().enumerate() {
                let beta = dot(cotangent.row(i, 0), q.row(if shared { 0 } else { i }, 0));
                terms.push(InterceptTerm { node: name.clone(), beta });
            }
        }
        Ok(Batch { inputs, first, n, y: values, all: y, outputs, cotangents, trace, intercepts })
    }

    fn rows(&self) -> usize {
        self.y.len()
    }

    fn input(&self, i: usize) -> &[f64] {
        &self.inputs[i * self.n..][..self.n]
    }
}

/// A batch at one split.
struct AtSplit<'a> {
    network: &'a Network,
    split: NodeId,
    form: Form,
    batch: &'a Batch<'a>,
    settings: &'a ExplainSettings,
    bypass: Option<Blocks>,
    epsilon: f64,
}

impl AtSplit<'_> {
    /// L of a sample: `∂y/∂z` at the split.
    fn left(&self, i: usize) -> Vec<f64> {
        let width = self.network.nodes[self.split].width();
        self.batch.trace[self.split].as_ref().map_or_else(|| vec![0.0; width], |blocks| blocks.row(i, 0).to_vec())
    }

    /// Every sample of the batch, in parallel.
    fn explain_formed(&self, operator: &mut LocalOperator, mut kept: Kept) -> Result<Vec<Explanation>> {
        let (rows, n) = (self.batch.rows(), self.batch.n);
        let read = |found: Vec<Vec<f64>>| found.iter().map(|row| Found::read(row, n)).collect::<Option<Vec<Found>>>();
        if let Some(found) = kept.found().and_then(read).filter(|found| found.len() == rows) {
            return Ok(found.into_iter().enumerate().map(|(i, found)| self.assemble(i, found)).collect());
        }
        let r = operator.jacobian(self.split)?;
        let made = self.each_row(|i| {
            let found = self.find(i, &r);
            (if kept.is_kept() { found.row() } else { Vec::new() }, self.assemble(i, found))
        });
        let (found, explanations) = made.into_iter().unzip();
        kept.keep_found(found)?;
        Ok(explanations)
    }

    /// What `work` makes of every sample of the batch, in parallel.
    fn each_row<R: Send>(&self, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
        let rows = self.batch.rows();
        let threads = crate::host::threads(0).min(rows.max(1));
        // A few shares a thread: samples with more active units take longer.
        let share = rows.div_ceil(4 * threads).max(1);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let shares = || {
            let mut done = Vec::new();
            loop {
                let begin = share * next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if begin >= rows {
                    return done;
                }
                done.extend((begin..rows.min(begin + share)).map(|i| (i, work(i))));
            }
        };
        let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..threads).map(|_| scope.spawn(shares)).collect();
            let mut done = shares();
            for thread in threads {
                done.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        });
        done.sort_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, made)| made).collect()
    }

    /// Decomposes a sample's R that is formed.
    fn find(&self, i: usize, r: &Blocks) -> Found {
        let rows: Vec<&[f64]> = (0..r.rows).map(|j| r.row(i, j)).collect();
        let x = self.batch.input(i);
        let triplets = decompose(&rows, self.batch.n, self.epsilon);
        let rx: Vec<f64> = rows.iter().map(|row| dot(row, x)).collect();
        let left = self.left(i);
        let kept = self.settings.components.min(triplets.sigma.len());
        let psi: Vec<f64> = triplets.left.iter().map(|p| dot(&left, p)).collect();
        let (explained, remainder) = split_left(&left, &triplets, &psi);
        // Rᵀ of all of them in one product.
        let vectors: Vec<&[f64]> =
            triplets.left[..kept].iter().map(Vec::as_slice).chain([&explained[..], &remainder[..]]).collect();
        let mut images = transpose_products(r, i, &vectors);
        let (remainder, explained) = (images.pop().unwrap_or_default(), images.pop().unwrap_or_default());
        Found::new(triplets, psi, &rx, Images { components: images, explained, remainder })
    }

    fn explain_row(
        &self,
        i: usize,
        operator: &mut MatrixFree,
        watch: &mut Watch<'_>,
        mut kept: Kept,
    ) -> Result<Explanation> {
        if let Some(found) = kept.found().and_then(|found| Found::read(found.first()?, self.batch.n)) {
            watch(Work { share: 1.0, resumed: true });
            return Ok(self.assemble(i, found));
        }
        let (settings, x, whole) = (self.settings, self.batch.input(i), self.left(i));
        operator.load(x)?;
        if self.form == Form::ClassRows {
            operator.keep(|row| whole[row] != 0.0);
        }
        // From here on in the rows that are on.
        let left = operator.gather(&whole);
        let rx = operator.apply_one(x)?;
        let (m, n) = operator.shape();
        let expected = match self.form {
            Form::Contributions => 2 * directions(settings.components).div_ceil(operator.block()),
            Form::Top => 16 * settings.components.div_ceil(operator.block()),
            _ => {
                let bytes = if self.epsilon < 1e-12 { 8 } else { 4 };
                let once = match way((m, n), operator.width(), bytes, settings.memory) {
                    Way::Formed => true,
                    Way::Held => operator.is_input(),
                    Way::Products => false,
                };
                m.div_ceil(operator.block()) * if once { 1 } else { 2 }
            }
        };
        let mut watched = Watched { operator, watch, done: 0, expected, resumed: false };
        let mut triplets = match self.form {
            Form::Contributions => contributions(&mut watched, &left, &rx, settings.components)?,
            Form::Top => {
                let floor = rank_threshold(m, n, self.epsilon);
                top_triplets(&mut watched, settings.components, TOP_BOUND.max(BOUND * self.epsilon), floor)?
            }
            Form::Auto | Form::Complete | Form::ClassRows if self.epsilon < 1e-12 => {
                complete::<f64>(&mut watched, settings.memory, self.epsilon, &mut kept)?
            }
            Form::Auto | Form::Complete | Form::ClassRows => {
                complete::<f32>(&mut watched, settings.memory, self.epsilon, &mut kept)?
            }
        };
        let psi: Vec<f64> = triplets.left.iter().map(|p| dot(&left, p)).collect();
        let images = self.images(operator, &mut triplets, (&left, &psi, &rx))?;
        let found = Found::new(triplets, psi, &rx, images);
        kept.keep_found(if kept.is_kept() { vec![found.row()] } else { Vec::new() })?;
        Ok(self.assemble(i, found))
    }

    /// The products with `Rᵀ` that maps are made of; `(L, ψ, R x̃)`.
    fn images(
        &self,
        operator: &mut MatrixFree,
        triplets: &mut Triplets,
        (left, psi, rx): (&[f64], &[f64], &[f64]),
    ) -> Result<Images> {
        let (explained, remainder) = split_left(left, triplets, psi);
        let mapped = self.largest(triplets, psi, rx);
        let mut components = vec![Vec::new(); triplets.sigma.len()];
        let mut made = std::mem::take(&mut triplets.images);
        let vectors: Vec<&[f64]> = if made.is_empty() {
            mapped.iter().map(|&k| &triplets.left[k][..]).chain([&explained[..], &remainder[..]]).collect()
        } else {
            vec![&remainder]
        };
        let mut products = operator.transpose_all(&vectors)?;
        let remainder = products.pop().unwrap_or_default();
        if made.is_empty() {
            let explained = products.pop().unwrap_or_default();
            mapped.into_iter().zip(products).for_each(|(k, product)| components[k] = product);
            return Ok(Images { components, explained, remainder });
        }
        // All of them are there already: what they explain is their sum, and with the remainder's own product that has to be what
        // arrives at the input (`map_residual`).
        let mut explained = vec![0.0; self.batch.n];
        for (image, psi) in made.iter().zip(psi) {
            explained.iter_mut().zip(image).for_each(|(sum, x)| *sum += psi * x);
        }
        mapped.into_iter().for_each(|k| components[k] = std::mem::take(&mut made[k]));
        Ok(Images { components, explained, remainder })
    }

    /// The components of the largest |α|, as many as maps are kept, and the leading ones.
    fn largest(&self, triplets: &Triplets, psi: &[f64], rx: &[f64]) -> Vec<usize> {
        let alpha: Vec<f64> = triplets.left.iter().zip(psi).map(|(p, psi)| (psi * dot(p, rx)).abs()).collect();
        let mut order: Vec<usize> = (0..alpha.len()).collect();
        order.sort_by(|&a, &b| alpha[b].total_cmp(&alpha[a]));
        order.truncate(self.settings.components);
        order.extend((0..self.settings.leading.min(alpha.len())).filter(|k| !order.contains(k)).collect::<Vec<_>>());
        order
    }

    fn assemble(&self, i: usize, found: Found) -> Explanation {
        let (batch, x) = (self.batch, self.batch.input(i));
        let Found { sigma, bound, mut psi, mut c, images: Images { components, explained, remainder } } = found;
        let cluster = clusters(&sigma);
        // R's own rounding: errors of ε in every entry are a matrix of about this norm.
        let (m, n) = (self.network.nodes[self.split].width(), batch.n);
        let noise = (m.max(n) as f64).sqrt() * self.epsilon * sigma.first().copied().unwrap_or(0.0);
        let mut right = components.clone();
        for (k, vector) in right.iter_mut().enumerate() {
            vector.iter_mut().for_each(|v| *v /= sigma[k]);
        }
        // Signs: c_k ≥ 0; where c_k is 0, the largest entry of V is positive.
        for k in 0..c.len() {
            let largest =
                right.get(k).map_or(0.0, |v| v.iter().fold(0.0, |a: f64, &b| if b.abs() > a.abs() { b } else { a }));
            if c[k] < 0.0 || (c[k] == 0.0 && largest < 0.0) {
                (c[k], psi[k]) = (-c[k], -psi[k]);
                right.get_mut(k).into_iter().flatten().for_each(|v| *v = -*v);
            }
        }
        let alpha: Vec<f64> = c.iter().zip(&psi).map(|(c, psi)| c * psi).collect();
        let reduced = reduce_clusters(&alpha, &cluster, self.settings.reduction);
        let share = shares(&alpha, &reduced, self.epsilon);
        let contributions = (0..alpha.len())
            .map(|k| Contribution {
                k,
                sigma: sigma[k],
                c: c[k],
                psi: psi[k],
                alpha: alpha[k],
                alpha_reduced: reduced[k],
                share: share.as_ref().map(|share| share[k]),
                cluster: cluster[k],
                unresolved: bound[k].max(noise) > UNRESOLVED * sigma[k],
            })
            .collect();
        // A_k = ψ_k (Rᵀ P_k) ⊙ x̃ = ψ_k σ_k V_k ⊙ x̃, free of the sign.
        let maps: Vec<Vec<f64>> = right
            .iter()
            .enumerate()
            .map(|(k, v)| v.iter().zip(x).map(|(v, x)| psi[k] * sigma[k] * v * x).collect())
            .collect();
        let product = |v: &[f64]| v.iter().zip(x).map(|(v, x)| v * x).collect::<Vec<f64>>();
        let slope = batch.trace[0].as_ref().map_or_else(|| vec![0.0; batch.n], |blocks| blocks.row(i, 0).to_vec());
        let attribution = product(&slope);
        let around = self.bypass.as_ref().map_or_else(|| vec![0.0; batch.n], |blocks| blocks.row(i, 0).to_vec());
        let bypass_map = product(&around);
        let remainder_map = product(&remainder);
        let whole = product(&explained);
        let largest = attribution.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        let off = (0..batch.n).map(|f| (whole[f] + remainder_map[f] + bypass_map[f] - attribution[f]).abs());
        let off = off.fold(0.0f64, f64::max);
        let y = batch.y[i];
        let (remainder, bypass) = (remainder_map.iter().sum::<f64>(), bypass_map.iter().sum::<f64>());
        let intercepts = batch.intercepts[i].clone();
        let beta: f64 = intercepts.iter().map(|t| t.beta).sum();
        let sum = alpha.iter().sum::<f64>() + remainder + bypass + beta;
        Explanation {
            row: batch.first + i,
            output: batch.outputs[i],
            y,
            outputs: batch.all.row(i, 0).to_vec(),
            split: self.network.nodes[self.split].name.clone(),
            is_cut: is_cut(self.network, self.split),
            form: self.form,
            rank: sigma.len(),
            contributions,
            intercepts,
            remainder,
            bypass,
            residual: (y - sum).abs() / y.abs().max(1.0),
            map_residual: if largest > 0.0 { off / largest } else { off },
            bounds: if bound.iter().any(|&b| b > 0.0) { bound } else { vec![] },
            maps,
            attribution,
            bypass_map,
            right,
        }
    }
}

/// A bound relative to σ₀ that an engine's rounding allows to be met, in units of its precision.
const BOUND: f64 = 100.0;

/// The same that is worth while for the largest singular values: their maps' cosines are right to four digits at gaps of a hundredth.
const TOP_BOUND: f64 = 1e-4;

/// Error (a triplet's bound, or the rounding of R) relative to σ above which a triplet is marked unresolved.
const UNRESOLVED: f64 = 1e-3;

/// `Rᵀu` for the R of one sample.
fn transpose_products(r: &Blocks, sample: usize, u: &[&[f64]]) -> Vec<Vec<f64>> {
    let (m, n) = (r.rows, r.cols);
    let block = u.concat();
    let mut out = vec![0.0; u.len() * n];
    let lhs = Operand { values: &block, row: m, column: 1 };
    let rhs = Operand { values: &r.values[sample * m * r.ld..][..m * r.ld], row: r.ld, column: 1 };
    product(&mut out, n, (u.len(), n, m), lhs, rhs);
    out.chunks_exact(n).map(<[f64]>::to_vec).collect()
}

/// L as its part in the span of P, and the rest.
fn split_left(left: &[f64], triplets: &Triplets, psi: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut inside = vec![0.0; left.len()];
    for (p, psi) in triplets.left.iter().zip(psi) {
        inside.iter_mut().zip(p).for_each(|(l, p)| *l += psi * p);
    }
    let rest = left.iter().zip(&inside).map(|(l, i)| l - i).collect();
    (inside, rest)
}
