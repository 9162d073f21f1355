//! A network's local operators at a batch of inputs, on an engine.

use std::collections::HashMap;

use crate::engine::{Device, Session};
use crate::network::local::{Affine, Cotangent, Pull, SlopeForm, linearise, pull, push};
use crate::network::record::{Mode, Recorder, Workspace};
use crate::network::{Network, NodeId, Parameters};
use crate::program::{Elements, PassId, Step, View, pad4};
use crate::{Error, Result};

/// A product with a network's slopes that is wanted, recorded before the first batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// `∂y/∂z` of one cotangent of the output, at the output of every node z.
    Trace,
    /// The same at the input only, with the output of this node held.
    Bypass(NodeId),
    /// `R = ∂z/∂x` of a node, whole.
    Jacobian(NodeId),
    /// `Rᵀu` for blocks of so many cotangents a sample.
    Pull { node: NodeId, seeds: usize },
    /// `(∂z/∂w)ᵀu` of two nodes, w below z on every path from the input to it.
    Descend { node: NodeId, to: NodeId, seeds: usize },
    /// `R v` for blocks of so many tangents a sample.
    Push { node: NodeId, seeds: usize },
    /// `(∂y/∂z) t` for one tangent t a sample of this node's output z.
    Carry(NodeId),
    /// Every node's output, which the forward pass leaves: no product, but it takes memory until the next batch.
    Outputs,
    /// The same with the slopes.
    Slopes,
    /// The same with the intercepts.
    Intercepts,
}

/// Matrices of every sample, `[sample·rows, cols]`, rows `ld` apart.
#[derive(Debug, Clone)]
pub struct Blocks {
    pub values: Vec<f64>,
    /// Rows a sample.
    pub rows: usize,
    pub cols: usize,
    pub ld: usize,
}

impl Blocks {
    /// Row `r` of a sample.
    pub fn row(&self, sample: usize, r: usize) -> &[f64] {
        &self.values[(sample * self.rows + r) * self.ld..][..self.cols]
    }

    pub fn samples(&self) -> usize {
        self.values.len() / (self.rows * self.ld).max(1)
    }

    /// Every number without padding, `[sample, rows, cols]`.
    pub fn into_packed(mut self) -> Vec<f64> {
        if self.cols != self.ld {
            let rows = self.values.len() / self.ld;
            (0..rows).for_each(|r| self.values.copy_within(r * self.ld..r * self.ld + self.cols, r * self.cols));
            self.values.truncate(rows * self.cols);
        }
        self.values
    }
}

/// A recorded product.
struct Recorded {
    pass: PassId,
    source: Option<View>,
    /// By node; for all but a trace only the one result.
    results: Vec<Option<View>>,
    seeds: usize,
    /// `Jacobian` by tangents: `[sample·N, m]`, the transpose of what is asked for.
    transposed: bool,
}

/// Bytes of the engine's memory that one batch may take: beyond it, larger batches gain nothing.
const TILE_BYTES: usize = 48 << 20;
const GPU_TILE_BYTES: usize = 1 << 30;

/// The slopes and intercepts of a network at a batch of inputs, and products with them.
///
/// Everything is recorded when the operator is made; [`load`](LocalOperator::load) moves it to a batch of inputs. The
/// numbers are the engine's (`f32`, or `f64` on [`Device::CpuF64`]).
pub struct LocalOperator {
    network: Network,
    session: Box<dyn Session>,
    x: View,
    forward: PassId,
    outputs: Vec<View>,
    affine: Vec<Affine>,
    products: HashMap<Product, Recorded>,
    /// Of the products asked for, those that are none: what the forward pass leaves.
    kept: Vec<Product>,
    batch: usize,
    rows: usize,
}

impl LocalOperator {
    /// Records the forward pass and the products; `rows` samples will be asked for in all (the batch is smaller where
    /// memory asks for it).
    ///
    /// # Errors
    /// The engine's own, when even one sample doesn't fit.
    pub fn new(
        network: &Network,
        parameters: &Parameters,
        products: &[Product],
        form: SlopeForm,
        rows: usize,
        device: &Device,
    ) -> Result<Self> {
        // How much one sample takes is what recording for one sample makes.
        let mut recorded = record(network, products, form, 1);
        let workspace = &recorded.0;
        let of_sample = workspace.elements().held;
        let largest = workspace.program.buffers.specs.iter().skip(2).map(|spec| spec.len).max().unwrap_or(1);
        let (budget, binding) = match device {
            Device::Gpu(gpu) if !gpu.caps().software => (GPU_TILE_BYTES, gpu.caps().max_binding as usize),
            Device::Gpu(gpu) => (TILE_BYTES, gpu.caps().max_binding as usize),
            _ => (TILE_BYTES, usize::MAX),
        };
        let batch = (budget / 4 / of_sample.max(1)).min(binding / 4 / largest.max(1)).clamp(1, rows.max(1));
        if batch > 1 {
            recorded = record(network, products, form, batch);
        }
        let (workspace, recorded) = recorded;
        let (parameter_buffer, statistics) = (workspace.parameters, workspace.statistics);
        let mut session = device.load(workspace.program)?;
        parameters.lend(session.as_mut(), parameter_buffer)?;
        session.write(statistics, None, 0, &parameters.statistics)?;
        let Recording { x, forward, outputs, affine, products, kept } = recorded;
        let (network, rows) = (network.clone(), 0);
        Ok(LocalOperator { network, session, x, forward, outputs, affine, products, kept, batch, rows })
    }

    /// Elements that a sample takes besides the network's own, with such products.
    pub fn elements(network: &Network, products: &[Product]) -> Elements {
        record(network, products, SlopeForm::Tangent, 1).0.elements()
    }

    /// Most samples of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Runs the network on `inputs: [samples, N]` (as they enter the graph, after scaling) and takes its slopes there.
    ///
    /// # Errors
    /// [`Error::Shape`] when the inputs are not whole samples or more than a batch.
    pub fn load(&mut self, inputs: &[f64]) -> Result<()> {
        let n = self.network.input_width();
        if inputs.is_empty() || !inputs.len().is_multiple_of(n) || inputs.len() / n > self.batch {
            return Err(Error::Shape(format!(
                "{} numbers are not 1 to {} samples of {n} inputs; give whole samples, a batch at a time",
                inputs.len(),
                self.batch
            )));
        }
        self.rows = inputs.len() / n;
        self.write(self.x, inputs)?;
        self.run_forward()
    }

    /// Runs the network once more on the inputs that lie on the engine: for measuring.
    pub fn run_forward(&mut self) -> Result<()> {
        self.run(self.forward)
    }

    /// The network's outputs, `[samples, C]`.
    pub fn output(&mut self) -> Result<Blocks> {
        self.read(*self.outputs.last().expect("a network has its input at least"), 1)
    }

    /// A node's output, `[samples, width]`.
    ///
    /// # Panics
    /// If [`Product::Outputs`] was not asked for.
    pub fn node_output(&mut self, node: NodeId) -> Result<Blocks> {
        self.asked_for(Product::Outputs);
        self.read(self.outputs[node], 1)
    }

    /// A node's slopes: the diagonal of S, `[samples, width]`; `None` for nodes that are not elementwise.
    ///
    /// # Panics
    /// If [`Product::Slopes`] was not asked for.
    pub fn slopes(&mut self, node: NodeId) -> Result<Option<Blocks>> {
        self.asked_for(Product::Slopes);
        self.affine[node].slope.map(|view| self.read(view, 1)).transpose()
    }

    /// A node's intercept q: `[samples, width]`, or `[1, width]` where all samples share it; `None` is zero.
    ///
    /// # Panics
    /// If [`Product::Intercepts`] was not asked for.
    pub fn intercept(&mut self, node: NodeId) -> Result<Option<Blocks>> {
        self.asked_for(Product::Intercepts);
        let Some(view) = self.affine[node].intercept else { return Ok(None) };
        if view.rows == 1 && self.is_parameter(view) {
            let values = self.session.read(view.buffer, 0, view.offset, view.ld)?;
            return Ok(Some(Blocks { values, rows: 1, cols: view.cols, ld: view.ld }));
        }
        self.read(view, 1).map(Some)
    }

    fn asked_for(&self, kept: Product) {
        assert!(self.kept.contains(&kept), "invariant: what is read after the forward pass was asked for ({kept:?})");
    }

    fn is_parameter(&self, view: View) -> bool {
        // The workspace makes the parameters first.
        view.buffer.0 == 0
    }

    /// `∂y/∂z` for the cotangent `u: [samples, C]` at every node's output, `[samples, width]` each; `None` where no path
    /// leads from a node to the output. The input's (node 0) is Jᵀu.
    ///
    /// # Panics
    /// If the product was not asked for, as all products here.
    pub fn trace(&mut self, u: &[f64]) -> Result<Vec<Option<Blocks>>> {
        self.send(Product::Trace, u)?;
        let views = self.products[&Product::Trace].results.clone();
        views.into_iter().map(|view| view.map(|view| self.read(view, 1)).transpose()).collect()
    }

    /// `uᵀ(J − L R)` for the cotangent `u: [samples, C]`: what reaches the output around a node, `[samples, N]`; `None`
    /// when nothing does (the node is a cut).
    pub fn bypass(&mut self, node: NodeId, u: &[f64]) -> Result<Option<Blocks>> {
        let product = Product::Bypass(node);
        self.send(product, u)?;
        self.products[&product].results[0].map(|view| self.read(view, 1)).transpose()
    }

    /// `∂z/∂x` of a node, `[samples·m, N]`.
    pub fn jacobian(&mut self, node: NodeId) -> Result<Blocks> {
        let product = Product::Jacobian(node);
        self.run_jacobian(node)?;
        let recorded = &self.products[&product];
        let (view, seeds, transposed) = (recorded.results[0], recorded.seeds, recorded.transposed);
        let Some(view) = view else {
            let (rows, cols) = (self.network.nodes[node].width(), self.network.input_width());
            return Ok(Blocks { values: vec![0.0; self.rows * rows * pad4(cols)], rows, cols, ld: pad4(cols) });
        };
        let blocks = self.read(view, seeds)?;
        Ok(if transposed { transpose(&blocks) } else { blocks })
    }

    /// Computes a Jacobian and leaves it on the engine: for measuring.
    pub fn run_jacobian(&mut self, node: NodeId) -> Result<()> {
        let pass = self.products[&Product::Jacobian(node)].pass;
        self.run(pass)
    }

    /// Waits for everything that was started.
    pub fn wait(&mut self) -> Result<()> {
        self.session.wait()
    }

    /// `Rᵀu` for `u: [samples, seeds, m]`, `[samples·seeds, N]`.
    pub fn pull(&mut self, node: NodeId, seeds: usize, u: &[f64]) -> Result<Blocks> {
        self.product(Product::Pull { node, seeds }, u)
    }

    /// `(∂z/∂w)ᵀu` for `u: [samples, seeds, m]`, `[samples·seeds, width of w]`.
    pub fn descend(&mut self, (node, to): (NodeId, NodeId), seeds: usize, u: &[f64]) -> Result<Blocks> {
        self.product(Product::Descend { node, to, seeds }, u)
    }

    /// `R v` for `v: [samples, seeds, N]`, `[samples·seeds, m]`.
    pub fn push(&mut self, node: NodeId, seeds: usize, v: &[f64]) -> Result<Blocks> {
        self.product(Product::Push { node, seeds }, v)
    }

    /// What a tangent `t: [samples, width]` at a node's output makes at the network's, `[samples, C]`: with the intercept as t,
    /// that node's part of every output.
    pub fn carry(&mut self, node: NodeId, t: &[f64]) -> Result<Blocks> {
        self.product(Product::Carry(node), t)
    }

    fn product(&mut self, product: Product, source: &[f64]) -> Result<Blocks> {
        self.send(product, source)?;
        let recorded = &self.products[&product];
        let seeds = recorded.seeds;
        let Some(view) = recorded.results[0] else {
            let cols = self.network.output().width();
            return Ok(Blocks { values: vec![0.0; self.rows * pad4(cols)], rows: 1, cols, ld: pad4(cols) });
        };
        self.read(view, seeds)
    }

    /// Writes a product's source and runs it.
    fn send(&mut self, product: Product, source: &[f64]) -> Result<()> {
        let recorded = self.products.get(&product).expect("invariant: the product was asked for");
        let (pass, view) = (recorded.pass, recorded.source.expect("invariant: this product has a source"));
        assert_eq!(source.len(), self.rows * recorded.seeds * view.cols, "one vector for each seed of each sample");
        self.write(view, source)?;
        self.run(pass)
    }

    fn run(&mut self, pass: PassId) -> Result<()> {
        let rows = self.rows as u32;
        let step = Step { index: 0, rows, begin: 0, epoch: 0, count: 0, rate: 0.0, ordering: 0, kept: u32::MAX };
        self.session.run(pass, &[step])
    }

    fn write(&mut self, view: View, values: &[f64]) -> Result<()> {
        if view.cols == view.ld {
            return self.session.write(view.buffer, Some(0), view.offset, values);
        }
        let mut padded = vec![0.0; values.len() / view.cols * view.ld];
        for (to, from) in padded.chunks_exact_mut(view.ld).zip(values.chunks_exact(view.cols)) {
            to[..view.cols].copy_from_slice(from);
        }
        self.session.write(view.buffer, Some(0), view.offset, &padded)
    }

    fn read(&mut self, view: View, seeds: usize) -> Result<Blocks> {
        let values = self.session.read(view.buffer, 0, view.offset, self.rows * seeds * view.ld)?;
        Ok(Blocks { values, rows: seeds, cols: view.cols, ld: view.ld })
    }
}

fn transpose(blocks: &Blocks) -> Blocks {
    let (rows, cols, ld) = (blocks.cols, blocks.rows, pad4(blocks.rows));
    let mut values = vec![0.0; blocks.samples() * rows * ld];
    for sample in 0..blocks.samples() {
        for c in 0..cols {
            for (r, &x) in blocks.row(sample, c).iter().enumerate() {
                values[(sample * rows + r) * ld + c] = x;
            }
        }
    }
    Blocks { values, rows, cols, ld }
}

/// What recording makes besides the workspace.
struct Recording {
    x: View,
    forward: PassId,
    outputs: Vec<View>,
    affine: Vec<Affine>,
    products: HashMap<Product, Recorded>,
    kept: Vec<Product>,
}

/// Whether a node's Jacobian takes fewer tangents than cotangents.
fn by_tangents(network: &Network, node: NodeId) -> bool {
    network.input_width() < network.nodes[node].width()
}

fn seeds_of(network: &Network, product: Product) -> usize {
    match product {
        Product::Trace | Product::Bypass(_) | Product::Carry(_) => 1,
        Product::Outputs | Product::Slopes | Product::Intercepts => 1,
        Product::Jacobian(node) => network.nodes[node].width().min(network.input_width()),
        Product::Pull { seeds, .. } | Product::Push { seeds, .. } | Product::Descend { seeds, .. } => seeds,
    }
}

fn record(network: &Network, products: &[Product], form: SlopeForm, batch: usize) -> (Workspace, Recording) {
    let seeds = products.iter().map(|&p| seeds_of(network, p)).max().unwrap_or(1);
    let mut workspace = Workspace::frozen(network, 1, batch, seeds);
    let x = workspace.program.buffers.matrix("inputs", batch, network.input_width());
    let mut recorder = Recorder::new(network, &mut workspace, Mode::Explain, x, false);
    recorder.forward();
    let affine = linearise(network, &mut recorder, form);
    let outputs: Vec<View> = (0..network.nodes.len()).map(|id| recorder.output(id)).collect();
    let ops = recorder.finish();
    let forward = workspace.program.pass("forward", ops);
    let mut recording = Recording { x, forward, outputs, affine, products: HashMap::new(), kept: Vec::new() };
    for &product in products {
        if matches!(product, Product::Outputs | Product::Slopes | Product::Intercepts) {
            recording.kept.push(product);
        } else if !recording.products.contains_key(&product) {
            let recorded = record_product(network, &mut workspace, &recording.affine, product);
            recording.products.insert(product, recorded);
        }
    }
    let buffers = &mut workspace.program.buffers;
    recording.asked_for().into_iter().for_each(|view| buffers.keep(view));
    workspace.program.share();
    (workspace, recording)
}

impl Recording {
    /// What the forward pass writes and somebody reads at any time until the next.
    fn asked_for(&self) -> Vec<View> {
        let mut views = vec![*self.outputs.last().expect("a network has its input at least")];
        for kept in &self.kept {
            match kept {
                Product::Outputs => views.extend(&self.outputs),
                Product::Slopes => views.extend(self.affine.iter().filter_map(|affine| affine.slope)),
                Product::Intercepts => views.extend(self.affine.iter().filter_map(|affine| affine.intercept)),
                _ => {}
            }
        }
        views
    }
}

fn record_product(network: &Network, workspace: &mut Workspace, affine: &[Affine], product: Product) -> Recorded {
    let last = network.nodes.len() - 1;
    let seeds = seeds_of(network, product);
    let batch = workspace.batch;
    let mut source = |what: &str, node: NodeId| {
        let width = network.nodes[node].width();
        workspace.program.buffers.temporary(format!("{product:?} {what}"), batch * seeds, width)
    };
    let (ops, source, results, transposed) = match product {
        Product::Trace => {
            let u = source("cotangents", last);
            let how = Pull { seeds, keep: true, ..Pull::default() };
            let pulled = pull(network, workspace, affine, last, Cotangent::Matrix(u), how);
            let results = pulled.at.iter().map(|c| if let Some(Cotangent::Matrix(v)) = c { Some(*v) } else { None });
            let results = results.collect();
            (pulled.ops, Some(u), results, false)
        }
        Product::Bypass(node) => {
            let u = source("cotangents", last);
            let how = Pull { seeds, stop: Some(node), ..Pull::default() };
            let pulled = pull(network, workspace, affine, last, Cotangent::Matrix(u), how);
            let result = pulled.input();
            (pulled.ops, Some(u), vec![result], false)
        }
        Product::Jacobian(node) if by_tangents(network, node) => {
            // The identity is written once more by every run: cheap beside what follows.
            let v = source("tangents", 0);
            let mut ops = vec![identity(v, seeds).into()];
            let (pushed, result) = push(network, workspace, affine, (0, node), v, seeds);
            ops.extend(pushed);
            (ops, None, vec![result], true)
        }
        Product::Jacobian(node) => {
            let how = Pull { seeds, ..Pull::default() };
            let pulled = pull(network, workspace, affine, node, Cotangent::Identity, how);
            let result = pulled.input();
            (pulled.ops, None, vec![result], false)
        }
        Product::Pull { node, seeds } => {
            let u = source("cotangents", node);
            let how = Pull { seeds, ..Pull::default() };
            let pulled = pull(network, workspace, affine, node, Cotangent::Matrix(u), how);
            let result = pulled.input();
            (pulled.ops, Some(u), vec![result], false)
        }
        Product::Descend { node, to, seeds } => {
            let u = source("cotangents", node);
            let how = Pull { seeds, until: to, ..Pull::default() };
            let pulled = pull(network, workspace, affine, node, Cotangent::Matrix(u), how);
            let result = pulled.matrix(to);
            (pulled.ops, Some(u), vec![result], false)
        }
        Product::Push { node, seeds } => {
            let v = source("tangents", 0);
            let (ops, result) = push(network, workspace, affine, (0, node), v, seeds);
            (ops, Some(v), vec![result], false)
        }
        Product::Carry(node) => {
            let t = source("tangents", node);
            let (ops, result) = push(network, workspace, affine, (node, last), t, seeds);
            (ops, Some(t), vec![result], false)
        }
        Product::Outputs | Product::Slopes | Product::Intercepts => unreachable!("invariant: these are no products"),
    };
    let given: Vec<View> = source.into_iter().collect();
    let read: Vec<View> = results.iter().flatten().copied().collect();
    let pass = workspace.program.exchanging(format!("{product:?}"), ops, &given, &read);
    Recorded { pass, source, results, seeds, transposed }
}

/// One identity matrix for each sample.
fn identity(out: View, seeds: usize) -> crate::kernels::Expand {
    crate::kernels::Expand { left: None, weight: None, eigenvalues: None, right: None, out, seeds }
}
