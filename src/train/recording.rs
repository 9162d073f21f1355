//! What a training job runs: its buffers, and the operations of its training and evaluation steps.

use super::masking::Masking;
use super::resident::Resident;
use super::settings::Settings;
use crate::Result;
use crate::engine::Session;
use crate::kernels::{Adam, Gather, Loss, LossKind, Mask, Op, Penalty, Proximal, Reduce, Select, Tie};
use crate::network::Network;
use crate::network::record::{Mode, Recorder, Workspace};
use crate::network::weight::{LAMBDA_IN, WEIGHT};
use crate::program::{Buffer, Element, PassId, RESULT_LEN, Scope, View, pad4};

/// Steps whose results are kept on the engine until they are read.
pub(super) const SLOTS: usize = 1024;

/// The passes of a job.
pub(super) struct Passes {
    pub train: PassId,
    /// The gradient of the parameters on rows in their order, and no step.
    pub gradient: PassId,
    pub evaluate: PassId,
    pub masked: Option<PassId>,
}

/// The job's own buffers, besides the network's.
pub(super) struct JobBuffers {
    pub data: Buffer,
    pub targets: Buffer,
    pub weights: Option<Buffer>,
    pub list: Buffer,
    pub scaling: Buffer,
    pub results: Buffer,
    pub masking: Option<(Buffer, Buffer)>,
    pub members: Option<(Buffer, Vec<u32>)>,
    /// What the optimiser carries from step to step, besides the parameters: buffers of so many numbers.
    pub optimiser: Vec<(Buffer, usize)>,
}

impl JobBuffers {
    pub fn fill(&self, session: &mut dyn Session, data: &Resident, masking: Option<&Masking>) -> Result<()> {
        if !session.hold_words(self.data, &data.words)? {
            session.write_words(self.data, None, 0, &data.words)?;
        }
        session.write_words(self.targets, None, 0, &data.targets)?;
        if let Some(weights) = self.weights {
            session.write(weights, None, 0, &data.weights.iter().map(|&w| f64::from(w)).collect::<Vec<_>>())?;
        }
        if data.lists.is_empty() {
            session.write_words(self.list, None, 0, &data.list)?;
        }
        for (replica, list) in data.lists.iter().enumerate() {
            session.write_words(self.list, Some(replica), 0, list)?;
        }
        session.write(self.scaling, None, 0, &data.scaling)?;
        if let Some((buffer, words)) = &self.members {
            session.write_words(*buffer, None, 0, words)?;
        }
        if let (Some((positions, fill)), Some(masking)) = (self.masking, masking) {
            let ld = pad4(data.columns);
            for (r, orderings) in masking.positions.iter().enumerate() {
                for (i, places) in orderings.iter().enumerate() {
                    session.write_words(positions, Some(r), i * ld, places)?;
                }
            }
            session.write(fill, None, 0, &masking.fill)?;
        }
        Ok(())
    }
}

/// A job's passes as they are recorded.
pub(super) struct Recording {
    pub passes: Passes,
    pub buffers: JobBuffers,
    pub output: View,
}

impl Recording {
    pub fn new(
        network: &Network,
        data: &Resident,
        settings: &Settings,
        masking: Option<&Masking>,
        workspace: &mut Workspace,
    ) -> Self {
        let batch = workspace.batch;
        let program = &mut workspace.program;
        let mut shared = |label: &str, len: usize, element| program.buffers.buffer(label, len, Scope::Shared, element);
        let ld = pad4(data.columns);
        let units = settings.units(network.first_layer());
        let ties = (!units.is_empty()).then(|| Tie::words(&units));
        let members = ties.map(|words| (shared("groups", words.len(), Element::Word), words));
        // Data without targets (to predict on) get zeros: an evaluation reads one for every output.
        let unknown = data.outputs == 0 && settings.loss != LossKind::Ce;
        let most = if unknown { data.words.len() / data.stride * network.output().width() } else { 0 };
        let mut buffers = JobBuffers {
            optimiser: Vec::new(),
            members,
            data: shared("data set", data.words.len(), Element::Word),
            targets: shared("targets", data.targets.len().max(most), Element::Word),
            weights: (!data.weights.is_empty()).then(|| shared("row weights", data.weights.len(), Element::Float)),
            scaling: shared("input scaling", 2 * ld, Element::Float),
            list: program.buffers.buffer(
                "row list",
                data.list.len(),
                if data.lists.is_empty() { Scope::Shared } else { Scope::Replica },
                Element::Word,
            ),
            results: program.buffers.buffer("results", SLOTS * RESULT_LEN, Scope::Replica, Element::Float),
            masking: masking.map(|masking| {
                let orderings = masking.positions.first().map_or(0, Vec::len);
                let positions = program.buffers.buffer("places", orderings * ld, Scope::Replica, Element::Word);
                (positions, program.buffers.buffer("mask fill", ld, Scope::Shared, Element::Float))
            }),
        };
        let members = buffers.members.as_ref().map(|(buffer, _)| *buffer);
        let rows = program.buffers.buffer("batch rows", batch, Scope::Replica, Element::Word);
        let x = program.buffers.matrix("batch inputs", batch, data.columns);
        let output_gradient = program.buffers.matrix("output gradient", batch, network.output().width());
        let row_stats = program.buffers.matrix("row statistics", batch, 4);
        let (parameters, gradient) = (workspace.parameters, workspace.gradient.expect("a workspace for training"));
        let settings_buffer = workspace.settings;
        let trained = workspace.layout.trained_end;
        let m = workspace.program.buffers.buffer("Adam m", trained, Scope::Replica, Element::Float);
        let v = workspace.program.buffers.buffer("Adam v", trained, Scope::Replica, Element::Float);
        buffers.optimiser.extend([(m, trained), (v, trained)]);
        let (psi_end, lambda_end) = (workspace.layout.psi_end, workspace.layout.lambda_end);

        let load = |shuffled: bool, mask: bool| {
            let range = if shuffled { data.train.clone() } else { 0..data.list.len() };
            let mut ops: Vec<Op> = vec![
                Select {
                    out: rows,
                    list: buffers.list,
                    offset: range.start,
                    len: range.len(),
                    shuffle: shuffled,
                    settings: settings_buffer,
                }
                .into(),
                Gather {
                    rows,
                    data: buffers.data,
                    storage: data.storage,
                    stride: data.stride,
                    scaling: buffers.scaling,
                    out: x,
                }
                .into(),
            ];
            if let (true, Some((position, fill))) = (mask, buffers.masking) {
                ops.push(Mask { x, position, fill }.into());
            }
            ops
        };
        let loss = |output: View, gradient: Option<View>| -> [Op; 2] {
            [
                Loss {
                    kind: settings.loss,
                    output,
                    rows,
                    targets: buffers.targets,
                    weights: buffers.weights,
                    gradient,
                    row_stats,
                }
                .into(),
                Reduce { row_stats, results: buffers.results }.into(),
            ]
        };

        let masked_training = masking.is_some_and(|m| m.train);
        let mut train = load(true, masked_training);
        let mut recorder = Recorder::new(network, workspace, Mode::Train, x, false);
        let output = recorder.forward();
        for op in loss(output, Some(output_gradient)) {
            recorder.op(op);
        }
        recorder.backward(output_gradient);
        let first = network.first_layer().map(|first| first.id);
        let lasso = settings.lasso.zip(first).map(|(lasso, id)| {
            let gradient = recorder.parameter_gradient(id, WEIGHT).expect("checked: the first weight is a direct one");
            (lasso, recorder.parameter(id, WEIGHT), gradient)
        });
        let shared_eigenvalue = first.and_then(|id| recorder.parameter_gradient(id, LAMBDA_IN));
        let differentiate = recorder.finish();
        let gradient_pass = [load(false, masked_training), differentiate.clone()].concat();
        train.extend(differentiate);
        if let (Some(x), Some(members)) = (shared_eigenvalue, members) {
            train.push(Tie { x, members, groups: units.len() }.into());
        }
        train.push(
            Penalty {
                parameters,
                psi: 0..psi_end,
                lambda: psi_end..lambda_end,
                len: trained,
                settings: settings_buffer,
                results: buffers.results,
            }
            .into(),
        );
        train.push(
            Adam {
                parameters,
                gradient,
                m,
                v,
                psi: 0..psi_end,
                lambda: psi_end..lambda_end,
                trainable: trained,
                skip: lasso.map_or(trained..trained, |(_, weight, _)| weight.range()),
                settings: settings_buffer,
                beta1: settings.beta1 as f32,
                beta2: settings.beta2 as f32,
                epsilon: settings.epsilon as f32,
            }
            .into(),
        );
        let mut momentum = None;
        if let (Some((lasso, weight, gradient)), Some(members)) = (lasso, members) {
            let velocity = workspace.program.buffers.matrix("momentum", weight.rows, weight.cols);
            momentum = Some((velocity.buffer, velocity.range().len()));
            train.push(
                Proximal {
                    weight,
                    gradient,
                    velocity,
                    members,
                    units: units.len(),
                    settings: settings_buffer,
                    rate: lasso.rate as f32,
                    momentum: lasso.momentum as f32,
                }
                .into(),
            );
        }
        let mut evaluation = |mask: bool| {
            let mut ops = load(false, mask);
            let mut recorder = Recorder::new(network, workspace, Mode::Evaluate, x, false);
            let output = recorder.forward();
            ops.extend(recorder.finish());
            ops.extend(loss(output, None));
            (ops, output)
        };
        let (evaluate, output) = evaluation(masked_training);
        let masked = masking.is_some().then(|| evaluation(true).0);
        let program = &mut workspace.program;
        let passes = Passes {
            train: program.pass("train", train),
            gradient: program.pass("gradient", gradient_pass),
            evaluate: program.exchanging("evaluate", evaluate, &[], &[output]),
            masked: masked.map(|ops| program.exchanging("masked evaluation", ops, &[], &[output])),
        };
        program.share();
        buffers.optimiser.extend(momentum);
        Recording { passes, buffers, output }
    }
}
