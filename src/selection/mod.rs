//! Choosing the few inputs that matter: a path of penalties times seeds as one ensemble, with uncertainty and an honest score
//! at each size.
//!
//! The validation rows are others for each seed where there are few: a fold of the rows that aren't for the test ([`SelectSettings::folds`]).
//!
//! 1. *Dense.* One network for each seed, without penalties; each keeps the parameters of its best validation score.
//! 2. *Grid.* A coarse path of one seed finds where everything is kept and where nothing is.
//! 3. *Path.* Every dense network is copied to every penalty of a geometric grid: P·S replicas of one training job, which
//!    share the data (on the CPU a job for each, on a core of its own). The penalties r_λ Σλ² + r_ψ Σψ² are a group lasso of strength κ = 2√(r_λ r_ψ) over the input columns
//!    (method.md section 1; Chicchi et al.), so a grid over κ at a fixed ratio of the two is a lasso path. The other layers' weights are
//!    penalised with r_ψ as well: otherwise they grow as the first layer shrinks, and the penalty loses its grip.
//!    Columns of a group share one λ: the lasso's strength on them is κ√|g|. What a penalty has dropped for good leaves the training
//!    while it runs (`narrowing`).
//! 4. *Refit.* Every replica trains on with the inputs it kept alone and no penalty on λ, so that a score says what these
//!    inputs can do, and not what the penalty costs.
//! 5. *Choice.* The strongest penalty whose validation score is within one standard error of the best (among those
//!    that keep as many features as are asked for), and the relevance of the features up to there.
//! 6. *Stability.* Networks at that penalty on halves of the rows, by complementary pairs: how often each feature is chosen.
//! 7. *Sizes.* Networks trained anew on the first k features, ordered by relevance and by what each adds to those before it. The
//!    validation rows choose the order, and the fewest features within one standard error of the best.
//! 8. *Compact model.* Networks on the chosen columns alone, trained anew.

mod ensemble;
mod narrowing;
mod order;
mod path;
mod prepared;
mod retrain;
mod side_by_side;
mod sizes;
mod stability;
mod substitutes;

use serde::{Deserialize, Serialize};

pub use path::{Path, PathPoint};
pub use sizes::{Footprint, SizePoint};
pub use stability::Stability;
pub use substitutes::Substitute;

use crate::assess::{Verdict, constant_score};
use crate::data::{Dataset, Missing, ScaleKind, Targets, Task, Unit, channels, input_of, source_name};
use crate::engine::Device;
use crate::kernels::{Activation, LossKind};
use crate::model::{Fit, Plan};
use crate::network::{Block, Place, Sequential};
use crate::run::Keep;
use crate::train::Metric;
use crate::train::{Flow, Progress, Schedule, Settings, check_loss};
use crate::{Error, Result};

/// How to select.
#[derive(Debug, Clone)]
pub struct SelectSettings {
    /// Exactly so many units; `None`: the one-standard-error rule.
    pub features: Option<usize>,
    /// Networks at each penalty.
    pub seeds: usize,
    /// Penalties on the path.
    pub penalties: usize,
    /// Convolutions before the hidden layers: channels are chosen then, and [`select`] needs no groups.
    pub convolutions: Vec<Block>,
    /// Widths of the hidden layers; `None`: one of 100, of fewer where that would be more than 100,000 weights, 16 at least.
    pub hidden: Option<Vec<usize>>,
    pub activation: Activation,
    /// `None`: ce for classes, mse for numbers.
    pub loss: Option<LossKind>,
    pub scale: Option<ScaleKind>,
    /// Passes over the training rows on the path; `None`: about a thousand steps.
    pub epochs: Option<usize>,
    /// Rows a step; `None`: a twentieth of the rows, within 32 and 500.
    pub batch: Option<usize>,
    pub rate: f64,
    /// Walk the path with the group lasso's proximal operator, which makes exact zeros: what isn't 0 is kept.
    pub exact: bool,
    /// Walk the path from the weakest penalty to the strongest, each network from where the one before ended and with a third of
    /// the steps (as LassoNet does), instead of training all penalties side by side from the dense networks.
    pub warm: bool,
    /// Otherwise a unit is kept when its relevance is above this share of the network's largest.
    pub threshold: f64,
    /// Draws of as many random features, for comparison at every size.
    pub controls: usize,
    /// Complementary pairs of half samples for [`Stability`].
    pub pairs: usize,
    pub validation: f64,
    /// Instead of fixed validation rows: network s of every penalty holds out fold s of so many, in turn and, where there are more networks,
    /// with the rows dealt anew. 0: fixed validation rows; `None`: 5 where there would be fewer than 400 of them.
    pub folds: Option<usize>,
    pub test: f64,
    /// Of the split, and of the first network.
    pub seed: u64,
    pub target_column: Option<String>,
    /// Where the data set's weights came from, for the record.
    pub weight_column: Option<String>,
    /// Makes every class count the same ([`Dataset::weigh`]).
    pub balanced_classes: bool,
    /// The classes whose rows the data set was cut down to.
    pub classes: Option<Vec<String>>,
    pub missing: Missing,
    /// Columns that were not read, for the record.
    pub drop: Vec<String>,
    /// Where the groups came from, for the record.
    pub groups_file: Option<String>,
    /// Where trainings are kept, to be gone on with.
    pub keep: Keep,
}

impl Default for SelectSettings {
    fn default() -> Self {
        SelectSettings {
            features: None,
            seeds: 5,
            penalties: 12,
            convolutions: Vec::new(),
            hidden: None,
            activation: Activation::Relu,
            loss: None,
            scale: None,
            epochs: None,
            batch: None,
            rate: 1e-2,
            exact: false,
            warm: false,
            threshold: 0.01,
            controls: 3,
            pairs: 25,
            validation: 0.1,
            folds: None,
            test: 0.2,
            seed: 0,
            target_column: None,
            weight_column: None,
            balanced_classes: false,
            classes: None,
            missing: Missing::Refuse,
            drop: Vec::new(),
            groups_file: None,
            keep: Keep::default(),
        }
    }
}

/// Which part of a selection is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Dense,
    Grid,
    Path,
    Refit,
    Stability,
    Sizes,
    Compact,
}

/// How much work a stage is, about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageWork {
    pub stage: Stage,
    /// In trainings of one network on all inputs.
    pub work: f64,
    /// How many trainings of an ensemble it is.
    pub trainings: usize,
}

/// What orders the units of a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Relevance.
    Relevance,
    /// What a unit adds to those before it, each input scaled by its eigenvalue: of two copies the second comes last.
    Novelty,
}

/// Mean and standard error over networks of different seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub mean: f64,
    /// Standard deviation over √n; 0 for one network.
    pub se: f64,
}

impl Score {
    pub(crate) fn of(values: &[f64]) -> Score {
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        Score { mean, se: if values.len() > 1 { (squares / (n - 1.0) / n).sqrt() } else { 0.0 } }
    }
}

/// What was selected and why.
#[derive(Debug, Clone)]
pub struct Selection {
    /// All units, by column. Column numbers are those of the data set as it was read.
    pub units: Vec<Unit>,
    /// Whether they are the data's channels.
    pub by_channel: bool,
    /// Whether they are chosen for what they say of all inputs, which are the targets.
    pub reconstructs: bool,
    /// Names of the columns that are constant on the training rows and were left out.
    pub constant: Vec<String>,
    /// What `ranking` is ordered by.
    pub order: Order,
    /// Units, best first, by `order`. Without `features`, those that most networks at the chosen penalty keep come first.
    pub ranking: Vec<usize>,
    /// The first so many of the ranking.
    pub chosen: usize,
    /// Relevance relative to the network's largest, root mean square over the networks of the penalties that score within one
    /// standard error of the best, `[unit]`. What [`Order::Relevance`] orders by.
    pub relative: Vec<f64>,
    /// Share of the networks at the chosen penalty that keep a unit, `[unit]`.
    pub kept_by: Vec<f64>,
    pub stability: Stability,
    pub path: Path,
    /// Which penalty of the path was chosen.
    pub penalty: usize,
    pub metric: Metric,
    /// Which rows the scores are about: `test`, or `validation` where there are no test rows.
    pub rows: &'static str,
    /// The retrained networks on the chosen columns.
    pub score: Score,
    /// Standard error of that because there are only so many rows.
    pub score_rows_se: f64,
    /// The dense networks on all columns, without penalties.
    pub all_features: Score,
    pub all_features_rows_se: f64,
    /// Of always giving the training rows' most frequent class, or their median.
    pub constant_answer: f64,
    /// Rows that stand in the data more than once ([`Dataset::repeated_rows`]).
    pub repeated: usize,
    /// Why the choice may be chance; `None` where nothing speaks for that.
    pub doubt: Option<Doubt>,
    /// Whether `observe` stopped it before every size was tried.
    pub stopped: bool,
    /// Scores of networks trained anew on the k best and on k random units.
    pub sizes: Vec<SizePoint>,
    /// Of each chosen unit, in the ranking's order.
    pub substitutes: Vec<Vec<Substitute>>,
    /// The compact model: its best network by validation.
    pub compact: Fit,
    pub full: Footprint,
    pub reduced: Footprint,
    /// All that decided the result: loss, scale, epochs of the path and batch as they were used.
    pub settings: SelectSettings,
    pub seconds: f64,
}

/// Selects among the inputs of `dataset` (whose missing cells are filled, and whose weights are scaled to mean 1; inputs that are the
/// targets become numbers, those that vary: the few that say what the others say are chosen then). `groups`, from
/// [`read_groups`](crate::data::read_groups), are units of several columns. `observe` may stop it: once sizes are
/// tried, that leaves a selection of those.
///
/// # Errors
/// [`Error::Usage`] for settings that make no sense; [`Error::Input`] when no input tells anything about the target;
/// [`Error::Stopped`]; training's own.
pub fn select(
    dataset: &mut Dataset,
    groups: &[Unit],
    settings: &SelectSettings,
    device: &Device,
    observe: &mut dyn FnMut(Stage, &Progress<'_>) -> Flow,
) -> Result<Selection> {
    let clock = settings.keep.clock();
    settings.check()?;
    settings.check_target(dataset)?;
    let repeated = dataset.repeated_rows();
    let reconstructs = matches!(dataset.y, Targets::Inputs);
    let by_channel = settings.chooses_channels() || !groups.is_empty() && groups == channels(&dataset.axes);
    let prepared = prepared::Prepared::new(dataset, groups, settings)?;
    if let Some(k) = settings.features.filter(|&k| k > prepared.units.len()) {
        return Err(Error::Usage(format!(
            "--features is {k}, but {} has only {} that are not constant; ask for fewer",
            dataset.source,
            prepared.units.len()
        )));
    }
    let walker = path::Walker::new(&prepared, settings, device);
    let walked = path::walk(&walker, observe)?;
    let path::Choice { penalty, count: suggested, relative } = walked.choose(settings, prepared.metric)?;
    let stability = stability::resample(&walker, walked.path.points[penalty].penalty, settings.pairs, observe)?;
    let kept_by = walked.path.kept_by(penalty);
    // Not by that share itself: of two features that say the same every network keeps one, so neither is kept by all, while
    // noise that happens to fit these rows may be.
    let first: Vec<bool> = kept_by.iter().map(|&s| settings.features.is_some() || 2.0 * s >= 1.0).collect();
    let by_relevance = order::by_relevance(&relative, &first);
    let ks = sizes::sizes(suggested, settings.features.is_some(), by_relevance.len());
    let most = ks.last().copied().unwrap_or(suggested);
    let by_novelty = order::by_novelty(&prepared.data, &prepared.units, &relative, &first, &by_relevance, most);
    let retrainer = retrain::Retrainer { prepared: &prepared, settings, device };
    let orders = [(Order::Relevance, by_relevance), (Order::Novelty, by_novelty)];
    let tried = sizes::Sizes { retrainer, orders, ks, suggested };
    let sizes::Chosen { order, ranking, k: chosen, sizes, validated, tested, stopped } = tried.choose(observe)?;
    let stable = ranking[..chosen].iter().any(|&unit| stability.is_stable(unit));
    let doubt = match (validated, stable || tested) {
        (true, true) => None,
        (true, false) => Some(Doubt::Unstable),
        (false, _) => Some(Doubt::Validation),
    };
    let reported = &prepared.data.list[prepared.reported()];
    let constant_answer = constant_score(&prepared.data, prepared.metric, &prepared.fitted(), reported);
    let columns = prepared.columns_of(&ranking[..chosen]);
    let (mut compact, score, score_rows_se) = sizes::compact(&prepared, &columns, settings, device, observe)?;
    if doubt.is_some() {
        compact.model.description.verdict = Some(Verdict::Unsupported);
    }
    let (full, reduced) = sizes::footprints(&prepared, &walked.dense, &compact.model, device)?;
    let kept: Vec<Vec<bool>> = walked.path.kept_at(penalty).to_vec();
    let substitutes = substitutes::substitutes(&prepared.data, &prepared.units, &ranking[..chosen], &kept);
    Ok(Selection {
        units: prepared.original_units(),
        by_channel,
        reconstructs,
        constant: prepared.constant.clone(),
        ranking,
        order,
        chosen,
        relative,
        kept_by,
        stability,
        path: walked.path,
        penalty,
        metric: prepared.metric,
        rows: prepared.rows,
        score,
        score_rows_se,
        all_features: walked.all_features,
        all_features_rows_se: walked.all_features_rows_se,
        constant_answer,
        repeated,
        doubt,
        stopped,
        sizes,
        substitutes,
        compact,
        full,
        reduced,
        settings: prepared.settings_used(settings),
        seconds: clock.seconds(),
    })
}

/// Why a choice may be no better than chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doubt {
    /// On the validation rows the chosen features don't score better than the constant answer by more than two standard errors.
    Validation,
    /// They do, but they were chosen by rows of every fold; none of them is [stable](Stability), and on the test rows, that
    /// nothing was chosen by, they don't.
    Unstable,
}

impl Selection {
    /// What one of its units is called.
    pub fn noun(&self) -> &'static str {
        if self.by_channel { "channel" } else { "feature" }
    }

    /// Whether nothing speaks for chance.
    pub fn tells_anything(&self) -> bool {
        self.doubt.is_none()
    }

    /// Columns of the chosen units, ascending, as numbered in the data as they were read.
    pub fn chosen_columns(&self) -> Vec<usize> {
        let chosen = self.ranking[..self.chosen].iter();
        let mut columns: Vec<usize> = chosen.flat_map(|&u| self.units[u].columns.clone()).collect();
        columns.sort_unstable();
        columns
    }

    /// Names of the chosen columns as the data have them, in their order: a category's once, whatever its one-hot columns, and where
    /// channels are chosen the channels'.
    pub fn source_columns(&self, dataset: &Dataset) -> Vec<String> {
        if self.by_channel {
            let mut chosen = self.ranking[..self.chosen].to_vec();
            chosen.sort_unstable_by_key(|&u| self.units[u].columns.first());
            return chosen.into_iter().map(|u| self.units[u].name.clone()).collect();
        }
        let mut names: Vec<String> = Vec::new();
        for feature in self.chosen_columns().iter().filter_map(|&c| dataset.features.get(c)) {
            let name = source_name(feature);
            // Other columns may stand between those of a group, but never between those of a category.
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

/// Pairs of halves whose shares are certain to a hundredth or two.
const MOST_PAIRS: usize = 1000;

impl SelectSettings {
    /// Refuses what makes no sense whatever the data are.
    ///
    /// # Errors
    /// [`Error::Usage`] with the option's name.
    pub fn check(&self) -> Result<()> {
        let at_least = |name: &str, value: usize, least: usize| {
            if value < least {
                return Err(Error::Usage(format!("{name} is {value}; it must be {least} at least")));
            }
            Ok(())
        };
        at_least("--seeds", self.seeds, 1)?;
        at_least("--penalties", self.penalties, 2)?;
        at_least("--pairs", self.pairs, 1)?;
        if self.pairs > MOST_PAIRS {
            return Err(Error::Usage(format!("--pairs is {}; it can be {MOST_PAIRS} at most", self.pairs)));
        }
        at_least("--features", self.features.unwrap_or(1), 1)?;
        at_least("--epochs", self.epochs.unwrap_or(1), 1)?;
        if let Some(folds @ 1..) = self.folds
            && folds < 2
        {
            return Err(Error::Usage(format!(
                "--folds is {folds}; it can be 2 or more, or 0 for fixed validation rows"
            )));
        }
        if self.validation <= 0.0 {
            return Err(Error::Usage(
                "select chooses by the score on validation rows; give --validation a share above 0".into(),
            ));
        }
        Ok(())
    }

    /// Whether the inputs that are chosen are channels, each with an eigenvalue of a convolution.
    pub fn chooses_channels(&self) -> bool {
        !self.convolutions.is_empty()
    }

    /// About how much work each stage is, for whoever shows how far a selection is.
    pub fn work(&self, units: usize) -> Vec<StageWork> {
        // Networks on few inputs take less, but not in the proportion: each training has its own costs.
        const SMALL: f64 = 0.8;
        let (seeds, penalties) = (self.seeds as f64, self.penalties as f64);
        let ks = sizes::sizes(self.features.unwrap_or(units.min(20)), self.features.is_some(), units).len();
        let orders = if self.features.is_some() { 1 } else { 2 };
        let of = |stage, work, trainings| StageWork { stage, work, trainings };
        let [dense, refit, warm] = [path::DENSE_SHARE, path::REFIT_SHARE, path::WARM_SHARE];
        let walked = if self.warm { 1.0 + (penalties - 1.0) * warm } else { penalties };
        vec![
            of(Stage::Dense, dense * seeds, 1),
            of(Stage::Grid, path::PROBES as f64, path::PROBES.div_ceil(path::AT_ONCE)),
            of(Stage::Path, walked * seeds, if self.warm { self.penalties } else { 1 }),
            of(Stage::Refit, refit * penalties * seeds, 1),
            of(Stage::Stability, 2.0 * self.pairs as f64, 1),
            of(Stage::Sizes, SMALL * ks as f64 * (orders as f64 * seeds + self.controls as f64), 1),
            of(Stage::Compact, SMALL * seeds, 1),
        ]
    }

    /// Refuses data without a target, and a loss that doesn't fit theirs.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check_target(&self, dataset: &Dataset) -> Result<()> {
        let task = match dataset.y {
            Targets::Classes { .. } => Task::Classify,
            Targets::Numbers { .. } => Task::Regress,
            Targets::Inputs => Task::Autoencode,
            Targets::None => return Err(Error::Usage(format!("{} has no target to select for", dataset.source))),
        };
        self.loss.map_or(Ok(()), |loss| check_loss(loss, task))
    }

    /// The network's plan on a data set, for `replicas`, before anything that a stage changes.
    fn plan(&self, dataset: &Dataset, ridge: bool) -> Result<Plan> {
        let classes = matches!(dataset.y, Targets::Classes { .. });
        let loss = self.loss.unwrap_or(if classes { LossKind::Ce } else { LossKind::Mse });
        let mut architecture = Sequential {
            convolutions: self.convolutions.clone(),
            hidden: Vec::new(),
            activations: vec![self.activation],
            ridge,
            // The proximal operator works on W itself.
            spectral: if self.exact && ridge { Place::None } else { Place::First },
            ..Sequential::default()
        };
        architecture.hidden = match &self.hidden {
            Some(hidden) => hidden.clone(),
            None => vec![hidden_for(architecture.width(input_of(&dataset.axes))?)],
        };
        Ok(Plan {
            architecture,
            tuning: None,
            target_scaling: None,
            settings: Settings {
                loss,
                batch: self.batch.unwrap_or((dataset.rows / 20).clamp(32, 500)),
                rate: self.rate,
                schedule: Schedule::Cosine,
                balanced: false,
                threshold: self.threshold,
                replicas: Settings::ensemble(self.seeds, self.seed, 0.0, 0.0),
                keep: self.keep.clone(),
                ..Settings::default()
            },
            scale: self.scale,
            validation: self.validation,
            test: self.test,
            split_seed: self.seed,
            target_column: self.target_column.clone(),
            weight_column: self.weight_column.clone(),
            balanced_classes: self.balanced_classes,
            classes: self.classes.clone(),
            missing: self.missing,
        })
    }

    /// Passes that make about so many steps of `rows` training rows, or what was asked for times `share`.
    fn epochs(&self, rows: usize, batch: usize, steps: usize, share: f64) -> usize {
        let wanted = match self.epochs {
            Some(epochs) => epochs as f64 * share,
            None => steps as f64 * share / rows.div_ceil(batch.max(1)).max(1) as f64,
        };
        (wanted.round() as usize).max(1)
    }
}

/// Units of the hidden layer that reads so many numbers.
fn hidden_for(width: usize) -> usize {
    const WEIGHTS: usize = 100_000;
    (WEIGHTS / width.max(1)).clamp(16, 100)
}
