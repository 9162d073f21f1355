//! Trainings under a penalty on the inputs that leave out the columns it has dropped, while they run.
//!
//! Most columns of a wide table are dropped early, and would be carried along for the rest of the training. Of a column whose part of the
//! first weight is 0, in a spectral layer λ = 0 and ψ = 0, the penalised loss has a minimum there as long as `‖∂L/∂W[:,g]‖ ≤ κ√|g|`,
//! by the optimality condition of the group lasso (in λ and ψ the loss changes by `λ (ψ·G) + r_λ λ² + r_ψ ‖ψ‖²` to second order, which is
//! positive for all λ and ψ where ‖G‖ < κ = 2√(r_λ r_ψ)): it can't come back, whatever its λ and ψ are near 0. So
//!
//! - after some of the epochs, columns below the threshold of relevance for which that holds on all training rows, with all of them at 0,
//!   are left out, and the training goes on with the others: its parameters, Adam's moments, the schedule and the shuffles are the same;
//! - at the end the condition is looked at once more for all that were left out, at the final weights. Where it fails, the training goes
//!   on from where it left any out, with those in.
//!
//! What comes out satisfies the optimality conditions of the whole problem in the columns that were left out: exactly 0, where a
//! training of all columns keeps the jitter of its last steps.

use super::ensemble::{Ensemble, Member, Trained, stopped};
use super::side_by_side::Tell;
use crate::Result;
use crate::network::Layout;
use crate::train::{Job, Midway, Narrow, Settings, unit_relevance};

/// Shares of the epochs after which columns are left out; the last is the end.
const PARTS: [f64; 4] = [1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0, 1.0];
/// Columns below which nothing is gained, and the share of those there are that has to go.
const FEW: usize = 100;
const SHARE: f64 = 0.5;

impl Ensemble<'_> {
    /// Whether columns can be left out of a training of these members.
    pub(super) fn narrows(&self, members: &[Member]) -> bool {
        let penalised = |member: &Member| {
            member.columns.is_none() && member.settings.reg_lambda > 0.0 && member.settings.reg_psi > 0.0
        };
        self.data.columns >= FEW
            && !self.units.is_empty()
            && self.settings.early_stop.is_none()
            && self.network.first_layer().is_some_and(|first| !first.channels)
            && members.iter().all(penalised)
    }

    /// Trains members side by side, all columns at first.
    pub(super) fn narrowing(&self, members: &[Member], tell: Tell<'_>) -> Result<Vec<Trained>> {
        let epochs = self.settings.epochs;
        let mut ends = PARTS.map(|share| (share * epochs as f64).ceil() as usize).to_vec();
        ends.dedup();
        let mut whole = self.job(members)?;
        let (keeping, kept) = whole.begin()?;
        if kept {
            return self.trained(&mut whole, members);
        }
        train(&mut whole, ends[0], tell)?;
        let begun = whole.midway()?;
        let mut entered = vec![false; self.units.len()];
        loop {
            let (ended, columns) = self.walk(&mut whole, members, &begun, (&ends[1..], &entered), tell)?;
            let out =
                if columns.len() < self.data.columns { self.open(&columns) } else { vec![false; self.units.len()] };
            let pulled = self.pulled(&mut whole, members, &ended, &vec![out.clone(); members.len()])?;
            let wrong = pulled.iter().fold(vec![false; out.len()], |sum, one| either(sum, one));
            if !wrong.contains(&true) {
                whole.take_up(&ended)?;
                whole.end(&keeping)?;
                return self.trained(&mut whole, members);
            }
            entered = either(entered, &wrong);
        }
    }

    /// From what the first part left to the end; with the columns that were in at last.
    fn walk(
        &self,
        whole: &mut Job,
        members: &[Member],
        begun: &[Midway],
        (ends, entered): (&[usize], &[bool]),
        tell: Tell<'_>,
    ) -> Result<(Vec<Midway>, Vec<usize>)> {
        let mut now = begun.to_vec();
        let mut columns: Vec<usize> = (0..self.data.columns).collect();
        for &end in ends {
            if let Some(living) = self.living(whole, members, &now, (&columns, entered))? {
                columns = living;
            }
            let narrow = (columns.len() < self.data.columns).then(|| Narrow::new(self.network, columns.clone()));
            let Some(narrow) = narrow.flatten() else {
                whole.take_up(&now)?;
                train(whole, end, tell)?;
                now = whole.midway()?;
                continue;
            };
            let data = narrow.data(self.data);
            let settings = Settings { groups: narrow.groups(&self.settings.groups), ..self.settings.clone() };
            let inside = Ensemble { network: &narrow.network, data: &data, units: &[], settings: &settings, ..*self };
            let fresh = |member: &Member| Member { start: None, ..member.clone() };
            let mut job = inside.job(&members.iter().map(fresh).collect::<Vec<_>>())?;
            job.take_up(&now.iter().map(|of| narrow.take_midway(of)).collect::<Vec<_>>())?;
            train(&mut job, end, tell)?;
            now = job.midway()?.iter().map(|of| narrow.spread_midway(of)).collect();
        }
        Ok((now, columns))
    }

    /// The columns of the units that any member can't do without; `None` where most of those there are would stay.
    fn living(
        &self,
        whole: &mut Job,
        members: &[Member],
        now: &[Midway],
        (columns, entered): (&[usize], &[bool]),
    ) -> Result<Option<Vec<usize>>> {
        let layout = Layout::new(self.network);
        let threshold = if self.settings.lasso.is_some() { 0.0 } else { self.settings.threshold };
        let weak = |of: &Midway| {
            let relevance = unit_relevance(self.network, &layout, &of.parameters, self.units);
            let largest = relevance.iter().fold(0.0f64, |a, &b| a.max(b));
            relevance.iter().zip(entered).map(|(&x, &entered)| !entered && x <= threshold * largest).collect()
        };
        let weak: Vec<Vec<bool>> = now.iter().map(weak).collect();
        let most = (SHARE * columns.len() as f64) as usize;
        if self.columns(|u| weak.iter().any(|weak| !weak[u])).len() > most {
            return Ok(None);
        }
        let pulled = self.pulled(whole, members, now, &weak)?;
        let mut living = self.columns(|u| weak.iter().zip(&pulled).any(|(weak, pulled)| !weak[u] || pulled[u]));
        if living.is_empty() {
            // A network reads something.
            living.extend(self.units[0].columns.first());
        }
        Ok((living.len() <= most).then_some(living))
    }

    /// Of the units that `open` names for each member, those that the loss would pull away from 0, with all of them at 0.
    fn pulled(
        &self,
        whole: &mut Job,
        members: &[Member],
        now: &[Midway],
        open: &[Vec<bool>],
    ) -> Result<Vec<Vec<bool>>> {
        if !open.iter().flatten().any(|&open| open) {
            return Ok(open.to_vec());
        }
        let of_columns = |open: &Vec<bool>| {
            let mut columns = vec![false; self.data.columns];
            let units = self.units.iter().zip(open).filter(|(_, open)| **open);
            units.flat_map(|(unit, _)| &unit.columns).for_each(|&c| columns[c] = true);
            columns
        };
        let parameters: Vec<_> = now.iter().map(|of| of.parameters.clone()).collect();
        let squares = whole.pull(&parameters, &open.iter().map(of_columns).collect::<Vec<_>>())?;
        let of = |((open, squares), member): ((&Vec<bool>, &Vec<f64>), &Member)| {
            let kappa = 2.0 * (member.settings.reg_lambda * member.settings.reg_psi).sqrt();
            let pulled = |(unit, &open): (&crate::data::Unit, &bool)| {
                let square: f64 = unit.columns.iter().map(|&c| squares[c]).sum();
                open && square.sqrt() > kappa * (unit.columns.len() as f64).sqrt()
            };
            self.units.iter().zip(open).map(pulled).collect()
        };
        Ok(open.iter().zip(&squares).zip(members).map(of).collect())
    }

    /// Units none of whose columns are among these.
    fn open(&self, columns: &[usize]) -> Vec<bool> {
        self.units.iter().map(|unit| unit.columns.iter().all(|c| columns.binary_search(c).is_err())).collect()
    }

    /// Columns of some units, ascending.
    fn columns(&self, which: impl Fn(usize) -> bool) -> Vec<usize> {
        let units = self.units.iter().enumerate().filter(|(u, _)| which(*u));
        let mut columns: Vec<usize> = units.flat_map(|(_, unit)| unit.columns.clone()).collect();
        columns.sort_unstable();
        columns
    }
}

fn train(job: &mut Job, until: usize, tell: Tell<'_>) -> Result<()> {
    job.train_to(until, tell)?;
    if job.stopped() { Err(stopped()) } else { Ok(()) }
}

fn either(a: Vec<bool>, b: &[bool]) -> Vec<bool> {
    a.into_iter().zip(b).map(|(a, &b)| a || b).collect()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::data::{ScaleKind, Scaling, Split, TargetScaling, Unit, Values, synthetic};
    use crate::engine::Device;
    use crate::network::{Network, Parameters, Place, Sequential};
    use crate::random::Random;
    use crate::train::{Flow, Lasso, Resident, Settings};

    /// 20 columns, of which 11 tell the classes apart, before as many of noise as make `columns`.
    fn data(columns: usize) -> Resident {
        let mut dataset = synthetic::gaussian(4, 400).dataset;
        let mut random = Random::new(8, 8);
        let Values::F32(values) = &dataset.x else { unreachable!("the fixture is of numbers") };
        let noise = columns - 20;
        let wide = values.chunks_exact(20).flat_map(|row| {
            let noise: Vec<f32> = (0..noise).map(|_| random.normal() as f32).collect();
            [row, &noise].concat()
        });
        let wide = wide.collect();
        dataset.x = Values::F32(wide);
        (dataset.columns, dataset.axes[0].len) = (columns, columns);
        dataset.features = (0..columns).map(|_| dataset.features[0].clone()).collect();
        let parts = Split { train: (0..300).collect(), validation: (300..400).collect(), test: vec![] };
        let scaling = Scaling::fit(ScaleKind::Standard, &dataset, &parts.train).unwrap();
        Resident::of(&dataset, &scaling, &TargetScaling::default(), &parts)
    }

    fn network(columns: usize, direct: bool) -> Network {
        let spectral = if direct { Place::None } else { Place::First };
        let architecture = Sequential { hidden: vec![8], ridge: true, spectral, ..Sequential::default() };
        architecture.build(columns, 2).unwrap()
    }

    fn units(columns: usize) -> Vec<Unit> {
        // The first noise columns are a group.
        let unit = |columns: Vec<usize>| Unit { name: String::new(), columns };
        let single = (0..20).chain(24..columns).map(|c| unit(vec![c]));
        single.chain([unit((20..24).collect())]).collect()
    }

    fn settings(kappa: f64, exact: bool) -> Settings {
        Settings {
            epochs: 120,
            batch: 50,
            rate: 1e-2,
            balanced: true,
            replicas: Settings::ensemble(1, 3, 15.0 * kappa, kappa / 60.0),
            groups: vec![(20..24).collect()],
            lasso: exact.then_some(Lasso { rate: 3.0, momentum: 0.9 }),
            ..Settings::default()
        }
    }

    fn member(settings: &Settings) -> Member {
        Member { settings: settings.replicas[0], start: None, columns: None, list: 0 }
    }

    /// A column's number in `pull` is the square of the loss's slope in its weight, by differences in double precision.
    #[test]
    fn the_pull_on_a_column_is_the_slope_of_the_loss() {
        for direct in [false, true] {
            let (data, network) = (data(30), network(30, direct));
            let settings = Settings { lasso: None, groups: Vec::new(), ..settings(0.1, false) };
            let mut job = Job::new(&network, &data, &settings, None, &Device::CpuF64 { threads: 1 }).unwrap();
            let parameters = job.parameters(0).unwrap();
            let open: Vec<bool> = (0..30).map(|c| c % 3 == 0).collect();
            let pulls = job.pull(from_ref(&parameters), from_ref(&open)).unwrap().remove(0);
            let layout = Layout::new(&network);
            let named = |name: &str| layout.tensors.iter().find(|tensor| tensor.path.ends_with(name));
            let weight = layout.of(network.first_layer().unwrap().id).iter().find(|t| t.cols == 30 && t.rows == 8);
            let (weight, lambda) = (weight.unwrap(), named("lambda_in").filter(|_| !direct));
            let mut closed: Parameters = parameters;
            if let Some(lambda) = lambda {
                let mut values = closed.get(lambda);
                values.iter_mut().zip(&open).filter(|(_, open)| **open).for_each(|(x, _)| *x = 1.0);
                closed.set(lambda, &values);
            }
            let mut entries = closed.get(weight);
            entries.iter_mut().enumerate().filter(|(i, _)| open[i % 30]).for_each(|(_, x)| *x = 0.0);
            let mut loss = |entries: &[f64]| {
                let mut at = closed.clone();
                at.set(weight, entries);
                job.set_parameters(0, &at).unwrap();
                job.evaluate(0..300).unwrap()[0].loss
            };
            for column in [0, 3, 21, 27] {
                let mut square = 0.0;
                for row in 0..8 {
                    let mut slope = 0.0;
                    for sign in [1.0, -1.0] {
                        let mut moved = entries.clone();
                        moved[row * 30 + column] += sign * 1e-5;
                        slope += sign * loss(&moved) / 2e-5;
                    }
                    square += slope * slope;
                }
                // Differences are good to the square of their step, and to a kink of a ReLU that lies between.
                assert!((square - pulls[column]).abs() < 1e-4 * square.max(1e-3), "{square} and {}", pulls[column]);
            }
        }
    }

    /// Columns that are 0 change nothing: what a training of all columns does with the others is what the narrow one does, to the
    /// rounding of sums in another order.
    #[test]
    fn a_narrow_training_is_the_whole_one_without_what_is_zero() {
        let (data, network) = (data(120), network(120, false));
        let settings = Settings { groups: Vec::new(), ..settings(0.02, false) };
        let device = Device::CpuF64 { threads: 1 };
        let columns: Vec<usize> = (0..120).filter(|c| c % 7 < 2 || *c == 119).collect();
        let narrow = Narrow::new(&network, columns.clone()).unwrap();
        let (mut whole, few) = (Job::new(&network, &data, &settings, None, &device).unwrap(), narrow.data(&data));
        whole.train_to(3, &mut |_| Flow::Continue).unwrap();
        // λ, ψ and their moments at 0 stay there.
        let begun: Vec<Midway> =
            whole.midway().unwrap().iter().map(|of| narrow.spread_midway(&narrow.take_midway(of))).collect();
        let mut inside = Job::new(&narrow.network, &few, &settings, None, &device).unwrap();
        inside.take_up(&begun.iter().map(|of| narrow.take_midway(of)).collect::<Vec<_>>()).unwrap();
        whole.take_up(&begun).unwrap();
        for job in [&mut whole, &mut inside] {
            job.train_to(12, &mut |_| Flow::Continue).unwrap();
        }
        assert_eq!(whole.steps(), inside.steps());
        let (a, b) = (whole.midway().unwrap().remove(0), narrow.spread_midway(&inside.midway().unwrap()[0]));
        let all = |of: &Midway| [&of.parameters.values()[..], &of.optimiser.concat()].concat();
        let (a, b) = (all(&a), all(&b));
        assert_eq!(a.iter().map(|&x| x == 0.0).collect::<Vec<_>>(), b.iter().map(|&x| x == 0.0).collect::<Vec<_>>());
        // Adam divides by the root of v: where a gradient is next to nothing its rounding is as large as it.
        let far = a.iter().zip(&b).map(|(a, b)| (a - b).abs() / (1e-3 + a.abs())).fold(0.0, f64::max);
        assert!(far < 1e-6, "{far}");
    }

    /// Noise is left out, and what comes out satisfies the group lasso's condition for every column that was, group or not, whichever
    /// way it is stepped; the others are those that a training of all columns keeps.
    #[test]
    fn what_is_left_out_may_stay_out() {
        let data = data(140);
        let units = units(140);
        for exact in [false, true] {
            let (network, settings) = (network(140, exact), settings(0.08, exact));
            let device = Device::Cpu { threads: 1 };
            let of = |units| Ensemble {
                network: &network,
                data: &data,
                lists: &[],
                units,
                settings: &settings,
                device: &device,
            };
            let members = [member(&settings)];
            let ensemble = of(&units);
            assert!(ensemble.narrows(&members) && !of(&[]).narrows(&members));
            let narrow = ensemble.train(&members, &mut |_| Flow::Continue).unwrap().remove(0);
            let whole = of(&[]).train(&members, &mut |_| Flow::Continue).unwrap().remove(0);
            let layout = Layout::new(&network);
            let relevance = |parameters| unit_relevance(&network, &layout, parameters, &units);
            let (found, expected) = (relevance(&narrow.parameters), relevance(&whole.parameters));
            let largest = expected.iter().copied().fold(0.0, f64::max);
            let out: Vec<bool> = found.iter().map(|&x| x == 0.0).collect();
            assert!(out.iter().filter(|&&out| out).count() > 80 && out[136], "exact {exact}: {found:?}");
            for (u, (a, b)) in found.iter().zip(&expected).enumerate() {
                // What hovers at the threshold may be in one of them alone, and the others make up for it.
                assert!((a - b).abs() < 0.1 * largest, "exact {exact}, unit {u}: {a} and {b} of {largest}");
            }
            let mut job = ensemble.job(&members).unwrap();
            let midway = Midway { parameters: narrow.parameters.clone(), ..job.midway().unwrap().remove(0) };
            let pulled = ensemble.pulled(&mut job, &members, from_ref(&midway), from_ref(&out)).unwrap();
            assert!(!pulled[0].contains(&true), "exact {exact}: nothing that is out would come in");
            // And it is noticed where something would: the best unit, left out.
            let best = (0..units.len()).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
            let open: Vec<bool> = (0..units.len()).map(|u| u == best).collect();
            assert_eq!(ensemble.pulled(&mut job, &members, &[midway], from_ref(&open)).unwrap(), [open]);
        }
    }
}
