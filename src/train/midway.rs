//! A training that is interrupted between two epochs, to go on with fewer inputs.

use super::job::Job;
use super::kept::{Course, Keeping, Midway};
use super::masking::Masked;
use crate::network::Parameters;
use crate::network::weight::{LAMBDA_IN, PSI, WEIGHT};
use crate::{Error, Result};

impl Job {
    /// Before a training that is taken through several jobs: what keeps its end, and whether it was kept and is here now.
    pub(crate) fn begin(&mut self) -> Result<(Keeping, bool)> {
        let keeping = self.keeping(self.epochs())?;
        let course = keeping.resume(self.session.as_mut())?.filter(|course| course.over);
        if let Some(course) = &course {
            (self.reached, self.step) = (course.epoch, course.step);
        }
        Ok((keeping, course.is_some()))
    }

    /// Keeps the end of that training, which is here.
    pub(crate) fn end(&mut self, keeping: &Keeping) -> Result<()> {
        let course = Course { step: self.step, epoch: self.reached, over: true, ..Course::new(self.replicas()) };
        keeping.done(&course, self.session.as_mut())
    }

    /// What every replica's training has now.
    pub(crate) fn midway(&mut self) -> Result<Vec<Midway>> {
        let (epoch, step) = (self.reached, self.step);
        let mut all = Vec::new();
        for r in 0..self.replicas() {
            let parameters = self.parameters(r)?;
            let held = self.optimiser.iter().map(|&(buffer, len)| self.session.read(buffer, r, 0, len));
            all.push(Midway { parameters, optimiser: held.collect::<Result<_>>()?, epoch, step });
        }
        Ok(all)
    }

    /// Takes trainings up where they are: [`Job::train_to`] goes on from there.
    pub(crate) fn take_up(&mut self, midway: &[Midway]) -> Result<()> {
        for (r, of) in midway.iter().enumerate() {
            self.set_parameters(r, &of.parameters)?;
            for (&(buffer, _), numbers) in self.optimiser.iter().zip(&of.optimiser) {
                self.session.write(buffer, Some(r), 0, numbers)?;
            }
            (self.reached, self.step) = (of.epoch, of.step);
        }
        Ok(())
    }

    /// For each replica and column of a dense first layer, `‖G[:,i]‖²`: G is the gradient of the mean loss over the training rows with
    /// respect to the layer's weight W, at these parameters, for columns that `open` names, whose weight is taken for 0.
    ///
    /// Of a spectral layer the engine has the gradient of ψ, which is λ_i G[:,i]: with ψ = 0 and λ = 1 the weight is 0 and this is G.
    pub(crate) fn pull(&mut self, parameters: &[Parameters], open: &[Vec<bool>]) -> Result<Vec<Vec<f64>>> {
        let first = self.network.first_layer().filter(|first| !first.channels);
        let first =
            first.ok_or_else(|| Error::Shape("only a dense first layer has a weight for each column".into()))?;
        let tensors = self.layout.of(first.id).to_vec();
        let named = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
        let weight = named(PSI).or(named(WEIGHT)).expect("invariant: a dense layer has a weight");
        let n = weight.cols;
        for (r, (parameters, open)) in parameters.iter().zip(open).enumerate() {
            let mut without = parameters.clone();
            let mut set = |tensor, value: f64| {
                let mut values = without.get(tensor);
                for row in values.chunks_exact_mut(n) {
                    row.iter_mut().zip(open).filter(|(_, open)| **open).for_each(|(x, _)| *x = value);
                }
                without.set(tensor, &values);
            };
            set(weight, 0.0);
            named(LAMBDA_IN).into_iter().for_each(|lambda| set(lambda, 1.0));
            self.set_parameters(r, &without)?;
        }
        let rows = self.train.len() as f64;
        let mut sums = vec![vec![0.0; weight.rows * weight.ld]; self.replicas()];
        for step in self.evaluation_steps(self.train.clone(), Masked { ordering: 0, kept: 1 }) {
            self.session.run(self.passes.gradient, &[step])?;
            let share = f64::from(step.rows) / rows;
            for (r, sums) in sums.iter_mut().enumerate() {
                let of_batch = self.session.read(self.gradient, r, weight.offset, sums.len())?;
                sums.iter_mut().zip(of_batch).for_each(|(sum, x)| *sum += share * x);
            }
        }
        let squares = |sums: &Vec<f64>| {
            let mut squares = vec![0.0; n];
            for row in sums.chunks_exact(weight.ld) {
                squares.iter_mut().zip(row).for_each(|(square, x)| *square += x * x);
            }
            squares
        };
        Ok(sums.iter().map(squares).collect())
    }
}
