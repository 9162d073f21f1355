//! What `explain` keeps of the explanations that pass by.

use serde::Serialize;
use serde_json::json;

use super::super::pictures::best_classes;
use super::super::rows::Rows;
use super::{BEST, COMPARED, SHOWN};
use crate::data::{Preprocessing, Unit};
use crate::model::Model;
use crate::report::explain_page::{self, Units};
use crate::report::feature_figures::{OneRow, category, date};
use crate::report::npz::Npz;
use crate::report::photo_figures::BestClass;
use crate::specxai::{Explanation, FeatureParts, Output, Spectrum, contract, top_vector};
use crate::{Error, Result};

/// Features above which explanations.json doesn't list them: maps.npz has the same numbers.
const LISTED: usize = 4096;

/// What is collected while explanations pass by.
pub(super) struct Collected<'a> {
    pub(super) model: &'a Model,
    pub(super) rows: &'a Rows,
    /// What counts as one feature.
    pub(super) units: Vec<Unit>,
    pub(super) splits: Vec<String>,
    pub(super) components: usize,
    /// Of the contracted axis, its place.
    pub(super) along: Option<usize>,
    pub(super) json: Vec<serde_json::Value>,
    pub(super) maps: Vec<SplitMaps>,
    pub(super) shown: Vec<Explanation>,
    /// Of every row, in the target's units, with the factor from the output's own scale, and the output.
    pub(super) parts: Vec<(FeatureParts, f64, Output)>,
    pub(super) spectra: Vec<Spectrum>,
    pub(super) vectors: Vec<(usize, Vec<f64>)>,
    /// The largest residual allowed.
    pub(super) tolerance: f64,
    /// Σ_k |A_k| of the first split, mean over rows.
    pub(super) size: Vec<f64>,
    /// By node: Σβ over rows.
    pub(super) beta: Vec<(String, f64)>,
    pub(super) worst: f64,
    pub(super) worst_map: f64,
}

#[derive(Default)]
pub(super) struct SplitMaps {
    pub(super) maps: Vec<f32>,
    pub(super) rest: Vec<f32>,
    pub(super) contracted: Vec<f32>,
}

/// One entry of explanations.json.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    pub(super) explanation: &'a Explanation,
    /// The output's name: a class, or a target.
    pub(super) output_name: String,
    /// A picture's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<&'a str>,
    /// How it became a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) preprocessing: Option<&'a Preprocessing>,
    /// The components whose maps stand in maps.npz, in that order.
    pub(super) maps: Vec<usize>,
    /// The classes with the largest outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) best: Vec<BestClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<&'a str>,
    /// y in the target's units, for numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prediction: Option<f64>,
    #[serde(flatten)]
    pub(super) by_feature: Option<ByFeature<'a>>,
}

/// A row by feature.
#[derive(Serialize)]
struct ByFeature<'a> {
    /// `base + Σ parts` is the prediction (y, for classes).
    #[serde(flatten)]
    parts: &'a FeatureParts,
    features: Vec<&'a str>,
    /// What the row holds of each feature: a number, or a category.
    values: Vec<serde_json::Value>,
}

impl Collected<'_> {
    pub(super) fn name(&self, output: Output) -> String {
        explain_page::output_name(output, &self.model.description.targets)
    }

    pub(super) fn add(&mut self, index: usize, mut explanation: Explanation) -> Result<()> {
        let place = self.splits.iter().position(|s| *s == explanation.split).expect("invariant: a split asked for");
        explanation.row = self.rows.numbers[index] as usize;
        let label = self.rows.labels.as_ref().map(|labels| labels[index].as_str());
        explanation.check(self.tolerance)?;
        let description = &self.model.description;
        let units = Units::of(explanation.output, description);
        let prediction = units.map(|units| units.convert(explanation.y));
        let output_name = self.name(explanation.output);
        let (parts, factor) = self.parts_of(&explanation);
        let parts_fit = parts.parts.iter().chain([&parts.base]).all(|&x| (x as f32).is_finite());
        let by_feature = (self.units.len() <= LISTED).then(|| ByFeature {
            parts: &parts,
            features: self.units.iter().map(|unit| unit.name.as_str()).collect(),
            values: self.values(index),
        });
        let entry = Entry {
            explanation: &explanation,
            output_name,
            file: self.file(index),
            preprocessing: self.rows.pictures.as_ref(),
            best: best_classes(description, &explanation.outputs, BEST),
            maps: explanation.mapped(),
            label,
            prediction,
            by_feature,
        };
        self.json.push(json!(entry));
        if place == 0 {
            self.parts.push((parts, factor, explanation.output));
        }
        self.worst = self.worst.max(explanation.residual);
        self.worst_map = self.worst_map.max(explanation.map_residual);
        let n = explanation.attribution.len();
        let maps = &mut self.maps[place];
        let mut finite = parts_fit;
        let mut single = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            finite &= values.iter().all(|x| x.is_finite());
            values
        };
        let axes = &description.axes;
        let mapped = explanation.mapped();
        for place in 0..self.components {
            let map = mapped.get(place).map_or_else(|| vec![0.0; n], |&k| explanation.maps[k].clone());
            maps.maps.extend(single(&map));
            if let Some(along) = self.along {
                maps.contracted.extend(single(&contract(&map, axes, along)));
            }
        }
        maps.rest.extend(single(&explanation.rest_map()));
        if !finite {
            return Err(Error::Receipt(format!(
                "row {} split at {}: its maps or parts hold numbers beyond f32 (above 3e38), which maps.npz can't keep; scale the \
                 inputs (train with --scale standard) or leave that row out",
                explanation.row, explanation.split
            )));
        }
        self.spectra[place].add(&explanation);
        if place == 0 {
            for map in &explanation.maps {
                self.size.iter_mut().zip(map).for_each(|(s, a)| *s += a.abs() / self.rows.numbers.len() as f64);
            }
            for term in &explanation.intercepts {
                match self.beta.iter_mut().find(|(node, _)| *node == term.node) {
                    Some((_, sum)) => *sum += term.beta,
                    None => self.beta.push((term.node.clone(), term.beta)),
                }
            }
            if self.vectors.len() < COMPARED
                && let Some(vector) = top_vector(&explanation)
            {
                self.vectors.push((index, vector.to_vec()));
            }
        }
        if index < SHOWN {
            self.shown.push(explanation);
        }
        Ok(())
    }

    /// What each feature adds, in the target's units where the output has them, and the factor to these.
    pub(super) fn parts_of(&self, explanation: &Explanation) -> (FeatureParts, f64) {
        let own = FeatureParts::of(explanation, &self.units);
        match Units::of(explanation.output, &self.model.description) {
            Some(units) => {
                let parts = own.parts.iter().map(|part| part * units.factor()).collect();
                (FeatureParts { base: units.convert(own.base), parts }, units.factor())
            }
            None => (own, 1.0),
        }
    }

    /// What a row holds of each feature; null where the cell was missing.
    pub(super) fn values(&self, index: usize) -> Vec<serde_json::Value> {
        let row = self.input(index);
        let value = |unit: &Unit| match category(unit, &self.model.description.features, row) {
            Some(_) if row[unit.columns[0]].is_nan() => serde_json::Value::Null,
            Some(name) => json!(name),
            None => match date(unit, &self.model.description.features, row) {
                Some(date) => json!(date),
                None => json!(row[unit.columns[0]]),
            },
        };
        self.units.iter().map(value).collect()
    }

    /// What a row's picture is called.
    pub(super) fn file(&self, index: usize) -> Option<&str> {
        self.rows.names.as_ref().map(|names| names[index].as_str())
    }

    /// A row as it came.
    pub(super) fn input(&self, index: usize) -> &[f64] {
        let n = self.model.network.input_width();
        &self.rows.raw[index * n..][..n]
    }

    /// A row by feature.
    pub(super) fn by_feature(&self, index: usize) -> OneRow<'_> {
        let (parts, factor, output) = &self.parts[index];
        OneRow {
            row: self.rows.numbers[index] as usize,
            output: *output,
            features: &self.model.description.features,
            units: &self.units,
            input: self.input(index),
            parts,
            factor: *factor,
        }
    }

    /// The content of maps.npz.
    pub(super) fn npz(&self) -> Npz {
        let (rows, n) = (self.rows.numbers.len(), self.size.len());
        let mut npz = Npz::default();
        npz.ints("rows", &[rows], self.rows.numbers.iter().map(|&r| i64::from(r)).collect());
        npz.floats("x", &[rows, n], self.rows.inputs.iter().map(|&x| x as f32).collect());
        let parts = self.parts.iter().flat_map(|(of, ..)| of.parts.iter().map(|&part| part as f32));
        npz.floats("parts", &[rows, self.units.len()], parts.collect());
        npz.floats("base", &[rows], self.parts.iter().map(|(of, ..)| of.base as f32).collect());
        for (name, maps) in self.splits.iter().zip(&self.maps) {
            npz.floats(&format!("A_{name}"), &[rows, self.components, n], maps.maps.clone());
            npz.floats(&format!("A_rest_{name}"), &[rows, n], maps.rest.clone());
            if self.along.is_some() {
                let places = maps.contracted.len() / (rows * self.components).max(1);
                npz.floats(&format!("C_{name}"), &[rows, self.components, places], maps.contracted.clone());
            }
        }
        npz
    }
}
