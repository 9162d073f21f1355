//! Names on the command line: lists of them, and those of settings.

use std::convert::Infallible;
use std::str::FromStr;

use csv::{ReaderBuilder, Trim};

use crate::report::tables::CsvNames;

/// Names separated by commas, as in a line of a CSV file: one that has a comma itself stands in double quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl FromStr for Names {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(text.as_bytes());
        // The text is UTF-8 and has one record, so nothing can be wrong with it.
        let first = reader.records().next().and_then(std::result::Result::ok);
        Ok(Names(first.map_or_else(Vec::new, |record| record.iter().map(str::to_owned).collect())))
    }
}

/// How names stand in tables.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct CsvArgs {
    /// Names in tables that a spreadsheet would take for a formula (beginning with =, +, - or @) get a ' before them
    #[arg(hide_short_help = true, long, help_heading = "Output")]
    csv_safe: bool,
}

impl CsvArgs {
    pub fn names(self) -> CsvNames {
        if self.csv_safe { CsvNames::Safe } else { CsvNames::AsTheyAre }
    }
}

/// Parses an enum by the names that its serialised form has.
pub fn by_name<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|e| {
        // serde's sentence lists the names that there are.
        e.to_string().replace("unknown variant", "there is no").replace("expected one of", "there are")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_comma_stands_in_quotes() {
        let names = |text: &str| text.parse::<Names>().unwrap().0;
        assert_eq!(names("age, bmi"), ["age", "bmi"]);
        assert_eq!(names(r#""height, cm",age"#), ["height, cm", "age"]);
        assert_eq!(names(r#""say ""a""""#), [r#"say "a""#]);
        assert_eq!(names("a,,b"), ["a", "", "b"]);
        assert!(names("").is_empty());
    }
}
