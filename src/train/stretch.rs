//! How many steps run before their results are read and the observer is asked.

use std::time::Duration;

/// What a stretch should take: waiting for its results costs nothing, the bar moves, and a request to stop is heard.
const AIM: Duration = Duration::from_millis(200);

/// The number of steps of the next stretch, from the time that the last one took. It decides when results are read and
/// nothing else: the same training comes out whatever it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    steps: usize,
    most: usize,
}

impl Stretch {
    /// Begins with one step, since nobody knows yet what a step takes: minutes with a huge network.
    pub fn new(most: usize) -> Self {
        Stretch { steps: 1, most }
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    /// `steps` took so long. Grows fourfold at most, because the first steps may be slower or faster than the rest.
    pub fn measured(&mut self, steps: usize, time: Duration) {
        let fitting = AIM.as_secs_f64() * steps as f64 / time.as_secs_f64().max(1e-9);
        self.steps = (fitting as usize).min(4 * self.steps).clamp(1, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::data::{ScaleKind, Scaling, Split, TargetScaling, synthetic};
    use crate::network::Sequential;
    use crate::train::{Flow, Job, Resident, Settings};

    #[test]
    fn no_stretch_takes_much_longer_than_the_aim() {
        for step in [1e-6, 1e-4, 0.02, 0.15, 0.5, 60.0] {
            let mut stretch = Stretch::new(1024);
            let mut longest = 0.0f64;
            for _ in 0..20 {
                let time = step * stretch.steps() as f64;
                longest = longest.max(time);
                stretch.measured(stretch.steps(), Duration::from_secs_f64(time));
            }
            assert!(longest <= AIM.as_secs_f64().max(step) * 1.001, "steps of {step} s: a stretch of {longest} s");
            let full = (AIM.as_secs_f64() / step).clamp(1.0, 1024.0);
            assert!(stretch.steps() as f64 >= 0.9 * full.floor(), "steps of {step} s: {}", stretch.steps());
        }
    }

    #[test]
    fn a_slower_step_shortens_the_stretch_at_once() {
        let mut stretch = Stretch { steps: 1024, most: 1024 };
        // The last stretch of an epoch is cut short; what counts is the time of a step.
        stretch.measured(10, Duration::from_secs(10));
        assert_eq!(stretch.steps(), 1);
        stretch.measured(1, Duration::ZERO);
        assert_eq!(stretch.steps(), 4);
    }

    #[test]
    fn the_length_of_a_stretch_changes_nothing() {
        let dataset = synthetic::gaussian(3, 700).dataset;
        let parts = Split { train: (0..600).collect(), validation: (600..700).collect(), test: vec![] };
        let scaling = Scaling::fit(ScaleKind::None, &dataset, &parts.train).expect("the fixture has values");
        let data = Resident::of(&dataset, &scaling, &TargetScaling::default(), &parts);
        let architecture = Sequential { hidden: vec![9], dropout: 0.2, ..Sequential::default() };
        let network = architecture.build(20, 2).unwrap();
        let replicas = Settings::ensemble(3, 1, 1e-2, 1e-4);
        let settings = Settings { epochs: 4, batch: 16, replicas, ..Settings::default() };
        let runs = [1, 3, 1024].map(|longest| {
            let mut job = Job::new(&network, &data, &settings, None, &Device::Cpu { threads: 2 }).unwrap();
            job.longest_stretch = longest;
            let history = job.train(&mut |_| Flow::Continue).unwrap();
            (history, job.parameters(0).unwrap(), job.parameters(2).unwrap())
        });
        assert!(runs[0] == runs[1] && runs[0] == runs[2], "to the last bit");
    }
}
