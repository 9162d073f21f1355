//! The two synthetic sets of the spectral paper (Chicchi et al., sections 3.1 and 3.2; figures 2 to 4): which features a network
//! keeps where the answer is known.

use serde::Serialize;

use super::measures::{Check, Spread};
use crate::data::synthetic::{self, FLIP};
use crate::data::{Dataset, Targets};
use crate::engine::Device;
use crate::kernels::Activation;
use crate::model::{Fit, Plan};
use crate::network::{Place, Sequential};
use crate::run::Keep;
use crate::specxai::rank_correlation;
use crate::train::{Flow, Progress, Settings};
use crate::{Error, Result};

/// Below this distance of the means a relevant feature is too weak to be ranked: the classes overlap by 92 % and more.
const WEAK: f64 = 0.1;
/// Bins of a feature's distribution, over ±[`REACH`].
const BINS: usize = 60;
const REACH: f64 = 2.5;
/// Points of the scatter plot.
const SCATTER: usize = 600;
/// The pair that figure 4 shows: components 4 and 5.
const SHOWN_PAIR: usize = 2;

/// Which of the authors' settings: those of the paper's text, or of the notebooks that they published with it (`method.md`
/// section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// r_λ 1e-2, r_ψ 1e-4, no batch norm.
    Paper,
    /// Batch norm after the first layer; on the synthetic sets also dropout 0.2 there, and penalties of their own.
    Notebook,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureSet {
    /// 20 independent features, 11 of them relevant.
    Gaussian,
    /// Four pairs that tell the classes apart only together, and two noise features.
    Correlated,
}

impl FeatureSet {
    pub fn name(self) -> &'static str {
        match self {
            FeatureSet::Gaussian => "gaussian",
            FeatureSet::Correlated => "correlated",
        }
    }
}

/// Size of the experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureSetSettings {
    pub set: FeatureSet,
    pub variant: Variant,
    /// Which layers are spectral, and so penalised: the first at least says something about the inputs.
    pub spectral: Place,
    /// Rows of a data set, of which a tenth validates and a fifth tests.
    pub rows: usize,
    /// Data sets of consecutive seeds, each one training job.
    pub data_sets: usize,
    /// Networks in each job.
    pub replicas: usize,
    pub epochs: usize,
    /// Of the first data set, its split and its first network.
    pub seed: u64,
    /// Where trainings are kept, to be gone on with.
    #[serde(skip)]
    pub keep: Keep,
}

impl FeatureSetSettings {
    /// The paper's rows and replicas; few epochs, which the falling learning rate makes enough. The first of the data sets'
    /// seeds is 1, as in `tests/experiments.rs`.
    ///
    /// With the paper's penalties on the first layer alone, what a feature without relevance shows by chance in 42,000 rows
    /// stays above 3 % of the largest λ̃ in some data sets; on every layer they suppress it (docs/experiments.md).
    pub fn new(set: FeatureSet, variant: Variant) -> Self {
        let rows = match set {
            FeatureSet::Gaussian => synthetic::GAUSSIAN_ROWS,
            FeatureSet::Correlated => synthetic::CORRELATED_ROWS,
        };
        let spectral = if variant == Variant::Paper { Place::All } else { Place::First };
        FeatureSetSettings {
            set,
            variant,
            spectral,
            rows,
            data_sets: 3,
            replicas: 10,
            epochs: 30,
            seed: 1,
            keep: Keep::default(),
        }
    }

    /// What is trained on the data set of this seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let notebook = self.variant == Variant::Notebook;
        let (reg_lambda, reg_psi) = match (self.variant, self.set) {
            (Variant::Paper, _) => (1e-2, 1e-4),
            (Variant::Notebook, FeatureSet::Gaussian) => (1e-6, 1e-2),
            (Variant::Notebook, FeatureSet::Correlated) => (1e-6, 1e-4),
        };
        Plan {
            architecture: Sequential {
                activations: vec![Activation::Tanh, Activation::Relu, Activation::Relu],
                batch_norm: if notebook { Place::First } else { Place::None },
                dropout: if notebook { 0.2 } else { 0.0 },
                dropout_place: Place::First,
                spectral: self.spectral,
                ..Sequential::default()
            },
            settings: Settings {
                epochs: self.epochs,
                rate: 1e-2,
                balanced: false,
                replicas: Settings::ensemble(self.replicas, seed, reg_lambda, reg_psi),
                keep: self.keep.clone(),
                ..Settings::default()
            },
            split_seed: seed,
            ..Plan::default()
        }
    }

    /// Refuses sizes that make no sense, before anything is made.
    ///
    /// # Errors
    /// [`Error::Usage`] with the option's name.
    pub fn check(&self) -> Result<()> {
        const FEWEST_ROWS: usize = 100;
        if self.rows < FEWEST_ROWS {
            return Err(Error::Usage(format!("--rows is {}; the experiment needs {FEWEST_ROWS} at least", self.rows)));
        }
        if self.data_sets == 0 {
            return Err(Error::Usage("--data-sets is 0; the experiment needs 1 at least".into()));
        }
        self.plan(self.seed).settings.check()
    }
}

/// One feature of one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureOutcome {
    pub feature: usize,
    /// |λ̃| of every replica.
    pub replicas: Vec<f64>,
    /// Mean and standard deviation of them: what figures 3 and 4 show.
    pub relevance: f64,
    pub relevance_std: f64,
    /// The mean relative to the largest mean.
    pub relative: f64,
    /// Whether the feature says anything about the class.
    pub relevant: bool,
    /// Gaussian: distance of the classes' means, the horizontal axis of figure 3. Correlated: p of the feature's pair, that
    /// of figure 4. 0 for irrelevant features.
    pub strength: f64,
}

/// One data set with the networks of its job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureSetRun {
    pub seed: u64,
    pub features: Vec<FeatureOutcome>,
    /// Largest λ̃ of an irrelevant feature, relative to the largest of all.
    pub largest_irrelevant: f64,
    /// Gaussian: Spearman's correlation of λ̃ with the distance of the means, over relevant features of distance ≥ 0.1; of the
    /// means over replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spearman: Option<f64>,
    /// The same for each replica alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spearman_of_replicas: Vec<f64>,
    /// Correlated: mean λ̃ of each pair, relative to the largest feature's, and how far its members are apart, relative to
    /// the larger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairOutcome>,
    pub test_accuracy: f64,
    /// Of training.
    pub seconds: f64,
    pub steps: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairOutcome {
    pub p: f64,
    pub relative: f64,
    pub difference: f64,
}

/// How the values of a feature are distributed in either class: figure 2 and the left of figure 4.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// Share of the class's rows in each of 60 bins over −2.5 … 2.5; what lies outside is left out.
    pub classes: [Vec<f64>; 2],
}

/// Some rows of the pair that figure 4 plots against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ScatterPoint {
    pub x: f64,
    pub y: f64,
    pub class: u32,
}

/// Everything that came out.
#[derive(Debug, Clone, Serialize)]
pub struct FeatureSetOutcome {
    pub settings: FeatureSetSettings,
    pub network: Sequential,
    /// Of the first data set's job; the others differ in their seeds.
    pub training: Settings,
    /// Of the first data set, feature by feature.
    pub distributions: Vec<Distribution>,
    /// Correlated only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scatter: Vec<ScatterPoint>,
    pub runs: Vec<FeatureSetRun>,
    pub checks: Vec<Check>,
    /// Where this departs from the authors' setting.
    pub differences: Vec<String>,
    pub seconds: f64,
}

/// Trains the replicas of every data set in one job each, and holds the relevances against what is known of the features.
///
/// # Errors
/// [`Error::Usage`] for sizes that make no sense, [`Error::Stopped`], [`Error::Diverged`], the engine's own.
pub fn feature_set(
    settings: &FeatureSetSettings,
    device: &Device,
    observe: &mut dyn FnMut(&str, &Progress<'_>) -> Flow,
) -> Result<FeatureSetOutcome> {
    settings.check()?;
    let clock = settings.keep.clock();
    let (mut runs, mut distributions, mut scatter) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..settings.data_sets {
        let seed = settings.seed.wrapping_add(i as u64);
        let (mut dataset, strength) = generate(settings, seed);
        if i == 0 {
            distributions = (0..dataset.columns).map(|feature| distribution(&dataset, feature)).collect();
            if settings.set == FeatureSet::Correlated {
                scatter = scatter_points(&dataset);
            }
        }
        let name = format!("data set {} of {}", i + 1, settings.data_sets);
        let fit = settings.plan(seed).fit_with(&mut dataset, device, &mut |progress| observe(&name, progress))?;
        if fit.stopped {
            return Err(Error::Stopped("stopped before the experiment was whole; nothing is written".into()));
        }
        runs.push(run(settings.set, seed, &fit, &strength));
    }
    let plan = settings.plan(settings.seed);
    Ok(FeatureSetOutcome {
        checks: checks(settings, &runs),
        differences: differences(settings),
        settings: settings.clone(),
        network: plan.architecture,
        training: plan.settings,
        distributions,
        scatter,
        runs,
        seconds: clock.seconds(),
    })
}

/// The data and each feature's strength, 0 for irrelevant ones.
fn generate(settings: &FeatureSetSettings, seed: u64) -> (Dataset, Vec<f64>) {
    match settings.set {
        FeatureSet::Gaussian => {
            let synthetic::Gaussian { dataset, distance } = synthetic::gaussian(seed, settings.rows);
            (dataset, distance)
        }
        FeatureSet::Correlated => {
            let dataset = synthetic::correlated(seed, settings.rows);
            let strength = (0..dataset.columns).map(|feature| FLIP.get(feature / 2).copied().unwrap_or(0.0)).collect();
            (dataset, strength)
        }
    }
}

fn run(set: FeatureSet, seed: u64, fit: &Fit, strength: &[f64]) -> FeatureSetRun {
    let relevance = fit.model.relevance();
    let mut features: Vec<FeatureOutcome> = strength
        .iter()
        .enumerate()
        .map(|(feature, &strength)| {
            let replicas: Vec<f64> = relevance.iter().map(|replica| replica[feature]).collect();
            let spread = Spread::of(&replicas);
            let (relevance, relevance_std) = (spread.mean, spread.std);
            FeatureOutcome {
                feature,
                replicas,
                relevance,
                relevance_std,
                relative: 0.0,
                relevant: strength > 0.0,
                strength,
            }
        })
        .collect();
    let largest = features.iter().map(|f| f.relevance).fold(f64::MIN_POSITIVE, f64::max);
    features.iter_mut().for_each(|f| f.relative = f.relevance / largest);
    let ranked: Vec<usize> = (0..strength.len()).filter(|&i| strength[i] >= WEAK).collect();
    let pick = |values: &[f64]| ranked.iter().map(|&i| values[i]).collect::<Vec<f64>>();
    let relative: Vec<f64> = features.iter().map(|f| f.relative).collect();
    let (mut correlation, mut of_replicas, mut pairs) = (None, Vec::new(), Vec::new());
    match set {
        FeatureSet::Gaussian => {
            correlation = rank_correlation(&pick(&relative), &pick(strength));
            of_replicas = relevance.iter().filter_map(|r| rank_correlation(&pick(r), &pick(strength))).collect();
        }
        FeatureSet::Correlated => {
            pairs = (FLIP.iter().zip(relative.chunks_exact(2)))
                .map(|(&p, pair)| PairOutcome {
                    p,
                    relative: (pair[0] + pair[1]) / 2.0,
                    difference: (pair[0] - pair[1]).abs() / pair[0].max(pair[1]).max(f64::MIN_POSITIVE),
                })
                .collect();
        }
    }
    FeatureSetRun {
        seed,
        largest_irrelevant: features.iter().filter(|f| !f.relevant).map(|f| f.relative).fold(0.0, f64::max),
        features,
        spearman: correlation,
        spearman_of_replicas: of_replicas,
        pairs,
        test_accuracy: fit
            .scores
            .iter()
            .find(|(part, _)| *part == "test")
            .and_then(|(_, s)| s.accuracy)
            .unwrap_or(f64::NAN),
        seconds: fit.seconds,
        steps: fit.model.description.steps,
    }
}

fn checks(settings: &FeatureSetSettings, runs: &[FeatureSetRun]) -> Vec<Check> {
    const IRRELEVANT: f64 = 0.03;
    const PAIR: f64 = 0.12;
    let most = |f: &dyn Fn(&FeatureSetRun) -> f64| runs.iter().map(f).fold(0.0, f64::max);
    let irrelevant = most(&|run| run.largest_irrelevant);
    match settings.set {
        FeatureSet::Gaussian => {
            let bound = if settings.variant == Variant::Paper { 0.9 } else { 0.8 };
            let correlations: Vec<f64> = runs.iter().map(|run| run.spearman.unwrap_or(f64::NAN)).collect();
            vec![
                Check::at_most("largest λ̃ of an irrelevant feature / largest λ̃", irrelevant, IRRELEVANT),
                Check::at_least(
                    format!("Spearman correlation of λ̃ and distance ≥ {WEAK}, mean over the data sets"),
                    Spread::of(&correlations).mean,
                    bound,
                ),
            ]
        }
        FeatureSet::Correlated => vec![
            Check::at_most(
                "largest difference between a pair's members / the larger",
                most(&|run| run.pairs.iter().map(|pair| pair.difference).fold(0.0, f64::max)),
                PAIR,
            ),
            Check::at_most("pairs of pairs that λ̃ orders otherwise than p", most(&|run| disorder(&run.pairs)), 0.0),
            Check::at_most("largest λ̃ of a noise feature / largest λ̃", irrelevant, IRRELEVANT),
        ],
    }
}

/// How many of the pairs of pairs don't have their λ̃ in the order of p.
fn disorder(pairs: &[PairOutcome]) -> f64 {
    let wrong = |a: &PairOutcome| pairs.iter().filter(|b| a.p < b.p && a.relative >= b.relative).count();
    pairs.iter().map(wrong).sum::<usize>() as f64
}

fn differences(settings: &FeatureSetSettings) -> Vec<String> {
    let epochs = match settings.set {
        FeatureSet::Gaussian => 1000,
        FeatureSet::Correlated => 500,
    };
    let mut differences = vec![
        format!("{} epochs instead of up to {epochs}", settings.epochs),
        "the learning rate falls by half a cosine to a hundredth; theirs is constant".to_owned(),
    ];
    differences.push(match settings.spectral {
        Place::All => "the penalties hold for every layer; theirs for the first alone".to_owned(),
        Place::First => {
            "only the first layer is spectral; theirs all are, with penalties on the first alone".to_owned()
        }
        Place::None => {
            "no layer is spectral and nothing is penalised: relevance is the norm of a weight's column".to_owned()
        }
    });
    if settings.set == FeatureSet::Correlated {
        differences.push("σ is 0.5 as in the notebook; the paper's text says 1".to_owned());
    }
    differences
}

/// Row number and class of every row.
fn classes(dataset: &Dataset) -> impl Iterator<Item = (usize, u32)> {
    let labels = if let Targets::Classes { labels, .. } = &dataset.y { labels.as_slice() } else { &[] };
    labels.iter().copied().enumerate()
}

fn distribution(dataset: &Dataset, feature: usize) -> Distribution {
    let mut counts = [vec![0.0; BINS], vec![0.0; BINS]];
    let mut rows = [0.0f64; 2];
    for (row, class) in classes(dataset) {
        rows[class as usize] += 1.0;
        let place = (dataset.value(row, feature) + REACH) / (2.0 * REACH) * BINS as f64;
        if (0.0..BINS as f64).contains(&place) {
            counts[class as usize][place as usize] += 1.0;
        }
    }
    for (counts, rows) in counts.iter_mut().zip(rows) {
        counts.iter_mut().for_each(|count| *count /= rows.max(1.0));
    }
    Distribution { classes: counts }
}

impl Distribution {
    /// The middle of each bin.
    pub fn places() -> impl Iterator<Item = f64> {
        (0..BINS).map(|i| -REACH + (i as f64 + 0.5) / BINS as f64 * 2.0 * REACH)
    }
}

fn scatter_points(dataset: &Dataset) -> Vec<ScatterPoint> {
    let value = |row: usize, member: usize| dataset.value(row, 2 * SHOWN_PAIR + member);
    classes(dataset)
        .take(SCATTER)
        .map(|(row, class)| ScatterPoint { x: value(row, 0), y: value(row, 1), class })
        .collect()
}

/// The components of the scatter plot.
pub const SCATTER_FEATURES: [usize; 2] = [2 * SHOWN_PAIR, 2 * SHOWN_PAIR + 1];
