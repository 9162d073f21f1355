//! How the columns of a table become those of the data set.

use std::collections::{HashMap, HashSet};

use super::Table;
use super::cell::listed;
use super::columns::Columns;
use super::survey::{Holds, Survey};
use crate::data::{Feature, Missing, Part, Request, source_name};
use crate::{Error, Result};

/// What the column of a missing cell is called, behind its source's name.
const MISSING: &str = "(missing)";

/// What the three columns of a date are called.
const CALENDAR: [&str; 3] = ["days", "day of year", "weekday"];

/// How a column of the file becomes columns of the data set.
pub(super) struct Kind {
    pub to: Place,
    /// Where a 1 goes for a missing cell.
    pub missing: Option<usize>,
}

pub(super) enum Place {
    Number(usize),
    /// Where the 1 goes for each value.
    OneHot(HashMap<String, usize>),
    /// Where the days since the first one go, which that is, and where the days of the year and the week go.
    Date {
        days: Option<(usize, i64)>,
        of_year: Option<usize>,
        of_week: Option<usize>,
    },
}

impl Kind {
    /// The columns of the data set that it fills.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = match &self.to {
            Place::Number(to) => vec![*to],
            Place::OneHot(to) => to.values().copied().collect(),
            Place::Date { days, of_year, of_week } => {
                [days.map(|(to, _)| to), *of_year, *of_week].into_iter().flatten().collect()
            }
        };
        columns.extend(self.missing);
        columns
    }
}

/// Which columns are read and where their numbers go.
pub(super) struct Plan {
    pub columns: Columns,
    /// One for each input column.
    pub kinds: Vec<Kind>,
    pub features: Vec<Feature>,
}

impl Plan {
    /// The columns that a model expects.
    pub fn expected(table: &Table, features: &[Feature], others: [Option<usize>; 2]) -> Result<Self> {
        let [target, weights] = others;
        let at: HashMap<&str, usize> = table.names().iter().enumerate().map(|(c, n)| (n.as_str(), c)).collect();
        // A column's name ends at one of a feature's `=`, and only where some name is as long.
        let lengths: HashSet<usize> = table.names().iter().map(String::len).collect();
        let columns = Columns { target, weights, inputs: Vec::new() };
        let mut plan = Plan { columns, kinds: Vec::new(), features: features.to_vec() };
        let mut slots: HashMap<usize, usize> = HashMap::new();
        for (to, feature) in features.iter().enumerate() {
            let missing = |name: &str| {
                let problem = format!("there is no column {name:?}, which the model expects");
                let remedy =
                    format!("add it or give a table like the one trained on (this one has {})", listed(table.names()));
                Error::input(table.path(), "header", problem, remedy)
            };
            let whole = feature.group.is_none() || feature.part == Some(Part::Number);
            let (column, value) = if whole {
                (*at.get(feature.name.as_str()).ok_or_else(|| missing(&feature.name))?, "")
            } else {
                let cuts = feature.name.match_indices('=').filter(|(i, _)| lengths.contains(i));
                cuts.map(|(i, _)| (&feature.name[..i], &feature.name[i + 1..]))
                    .find_map(|(name, value)| Some((*at.get(name)?, value)))
                    .ok_or_else(|| missing(source_name(feature)))?
            };
            let slot = *slots.entry(column).or_insert_with(|| {
                plan.columns.inputs.push(column);
                plan.kinds.push(Kind { to: Place::OneHot(HashMap::new()), missing: None });
                plan.columns.inputs.len() - 1
            });
            plan.kinds[slot].take_in(feature, value, to);
        }
        Ok(plan)
    }

    /// What the columns are taken for, by what they hold.
    pub fn of_surveys(table: &Table, columns: Columns, surveys: &[Survey], request: &Request) -> Result<Self> {
        let mut plan = Plan { columns, kinds: Vec::new(), features: Vec::new() };
        let mut group = 0;
        for (&c, survey) in plan.columns.inputs.iter().zip(surveys) {
            let name = &table.names()[c];
            let next = plan.features.len();
            let holds = survey.holds(table, c, request.dates)?;
            let indicated = request.missing == Missing::Indicator && survey.missing > 0;
            let of_group = |name: String, part| Feature { name, group: Some(group), part };
            let to = match holds {
                Holds::Numbers if indicated => {
                    plan.features.push(of_group(name.clone(), Some(Part::Number)));
                    Place::Number(next)
                }
                Holds::Numbers => {
                    plan.features.push(Feature::new(name.clone(), None));
                    Place::Number(next)
                }
                Holds::Categories => {
                    plan.features.extend(survey.values.iter().map(|v| of_group(format!("{name}={v}"), None)));
                    Place::OneHot(survey.values.iter().cloned().zip(next..).collect())
                }
                Holds::Dates => {
                    let first = survey.earliest.expect("invariant: a column of dates has one");
                    let parts = [Part::Days { first }, Part::DayOfYear, Part::Weekday];
                    let columns = CALENDAR.iter().zip(parts);
                    plan.features.extend(columns.map(|(of, part)| of_group(format!("{name}={of}"), Some(part))));
                    Place::Date { days: Some((next, first)), of_year: Some(next + 1), of_week: Some(next + 2) }
                }
            };
            let missing = indicated.then_some(plan.features.len());
            if indicated {
                plan.features.push(of_group(format!("{name}={MISSING}"), Some(Part::Missing)));
            }
            // Only what has one is counted.
            group += u32::from(plan.features[next].group.is_some());
            plan.kinds.push(Kind { to, missing });
        }
        Ok(plan)
    }

    /// What each column of the data set is counted from: as its model has it, or as its cells suggest.
    pub fn origins(&self, surveys: &[Survey], request: &Request) -> Vec<f64> {
        let mut origins = request.origins.clone();
        origins.resize(self.features.len(), 0.0);
        if request.expect.is_none() {
            for (kind, survey) in self.kinds.iter().zip(surveys) {
                if let Place::Number(to) = kind.to {
                    origins[to] = survey.extent.origin();
                }
            }
        }
        origins
    }

    /// Points out the numeric columns that look like identifiers, which tell nothing about new rows.
    pub fn identifiers(&self, table: &Table, surveys: &[Survey]) -> Option<String> {
        let columns = self.columns.inputs.iter().zip(&self.kinds).zip(surveys);
        let looks = |((&c, kind), survey): ((&usize, &Kind), &Survey)| {
            let is = matches!(kind.to, Place::Number(_)) && survey.numbers_rows();
            is.then(|| table.names()[c].clone())
        };
        let names: Vec<String> = columns.filter_map(looks).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!(
                "column {name:?} looks like an identifier (another whole number in every row): leave it out with --drop {name:?} \
                 unless it means something"
            )),
            names => Some(format!(
                "columns that look like identifiers (another whole number in every row): {}; leave them out with --drop unless \
                 they mean something",
                listed(names)
            )),
        }
    }

    /// Refuses what isn't a number, or a date, in the columns that must hold them.
    pub fn check_kinds(&self, table: &Table, surveys: &[Survey]) -> Result<()> {
        for ((&c, kind), survey) in self.columns.inputs.iter().zip(&self.kinds).zip(surveys) {
            match &kind.to {
                Place::Number(_) => {
                    if let Some(bad) = &survey.bad {
                        let remedy = "correct the cell: the model was trained on numbers here";
                        return Err(table.bad_cell(bad, c, remedy));
                    }
                }
                Place::Date { .. } => {
                    if let Some(other) = &survey.no_date {
                        return Err(table.no_date(other, c));
                    }
                }
                Place::OneHot(_) => {}
            }
        }
        Ok(())
    }
}

impl Kind {
    /// Takes in one of a model's features, which stands at a place and of a category is about a value.
    fn take_in(&mut self, feature: &Feature, value: &str, to: usize) {
        if feature.group.is_none() {
            self.to = Place::Number(to);
            return;
        }
        // Of the columns of a date any may be there.
        let date = |place: &mut Place| {
            if !matches!(place, Place::Date { .. }) {
                *place = Place::Date { days: None, of_year: None, of_week: None };
            }
        };
        match feature.part {
            Some(Part::Number) => self.to = Place::Number(to),
            Some(Part::Missing) => self.missing = Some(to),
            Some(Part::Days { .. } | Part::DayOfYear | Part::Weekday) => date(&mut self.to),
            None => {}
        }
        match (&mut self.to, feature.part) {
            (Place::OneHot(places), None) => drop(places.insert(value.to_owned(), to)),
            (Place::Date { days, .. }, Some(Part::Days { first })) => *days = Some((to, first)),
            (Place::Date { of_year, .. }, Some(Part::DayOfYear)) => *of_year = Some(to),
            (Place::Date { of_week, .. }, Some(Part::Weekday)) => *of_week = Some(to),
            _ => {}
        }
    }
}
