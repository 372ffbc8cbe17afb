//! Registry: a family is a table, a part is a row of it.
//! To add a part, write its formula and one row; names, errors, documentation and tests read the table.

use std::fmt;

use crate::error::Error;

/// An interval of accepted values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub low: f64,
    pub high: f64,
    /// Whether `low` and `high` themselves are accepted.
    pub closed: (bool, bool),
    /// Integers only.
    pub whole: bool,
}

impl Range {
    pub const POSITIVE: Range = Range { low: 0.0, high: f64::INFINITY, closed: (false, false), whole: false };
    pub const NON_NEGATIVE: Range = Range { low: 0.0, high: f64::INFINITY, closed: (true, false), whole: false };
    /// The open interval (0, 1).
    pub const INSIDE_UNIT: Range = Range { low: 0.0, high: 1.0, closed: (false, false), whole: false };
    /// The half-open interval [0, 1).
    pub const BELOW_ONE: Range = Range { low: 0.0, high: 1.0, closed: (true, false), whole: false };

    /// The half-open interval (0, 1].
    pub const UP_TO_ONE: Range = Range { low: 0.0, high: 1.0, closed: (false, true), whole: false };
    /// 1, 2, 3, …
    pub const COUNT: Range = Range { low: 1.0, high: f64::INFINITY, closed: (true, false), whole: true };

    /// Whether `value` lies inside; never true for NaN.
    pub fn contains(&self, value: f64) -> bool {
        if self.whole && value.fract() != 0.0 {
            return false;
        }
        let above = value > self.low || (self.closed.0 && value == self.low);
        let below = value < self.high || (self.closed.1 && value == self.high);
        above && below
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (if self.closed.0 { '[' } else { '(' }, if self.closed.1 { ']' } else { ')' });
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, false) => {
                let kind = if self.whole { "an integer" } else { "a finite number" };
                write!(f, "{kind} {} {}", if self.closed.0 { ">=" } else { ">" }, self.low)
            }
            _ => write!(f, "a number in {low}{}, {}{high}", self.low, self.high),
        }
    }
}

/// A parameter of a part.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub default: f64,
    pub range: Range,
}

/// A row: `make` takes the parameters' values in the order of `parameters`.
pub struct Part<T: ?Sized, Facts = ()> {
    pub name: &'static str,
    /// The formula, as the documentation shows it.
    pub formula: &'static str,
    pub parameters: &'static [Parameter],
    pub make: fn(&[f64]) -> Box<T>,
    pub facts: Facts,
}

/// The row called `name` and the values of its parameters: the `given` ones, else the defaults.
///
/// # Errors
/// If `family` has no such row, the row no such parameter, or a value lies outside its range.
pub fn choose<'t, T: ?Sized, Facts>(
    family: &str,
    table: &'t [Part<T, Facts>],
    name: &str,
    given: &[(String, f64)],
) -> Result<(&'t Part<T, Facts>, Vec<f64>), Error> {
    let part = table.iter().find(|part| part.name == name).ok_or_else(|| {
        let known: Vec<&str> = table.iter().map(|part| part.name).collect();
        Error::argument(family, format!("'{name}'"), format!("one of {}", list(&known)))
    })?;
    let mut values: Vec<f64> = part.parameters.iter().map(|parameter| parameter.default).collect();
    for (key, value) in given {
        let at = part.parameters.iter().position(|parameter| parameter.name == key).ok_or_else(|| {
            let known: Vec<&str> = part.parameters.iter().map(|parameter| parameter.name).collect();
            let accepted = if known.is_empty() {
                "given without parameters".to_string()
            } else {
                format!("given parameters among {}", list(&known))
            };
            Error::argument(format!("{family} '{name}'"), format!("'{key}'"), accepted)
        })?;
        let range = part.parameters[at].range;
        if !range.contains(*value) {
            return Err(Error::argument(format!("{key} of {family} '{name}'"), value, range.to_string()));
        }
        values[at] = *value;
    }
    Ok((part, values))
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Part<f64>] = &[
        Part { name: "plain", formula: "1", parameters: &[], make: |_| Box::new(1.0), facts: () },
        Part {
            name: "scaled",
            formula: "a b",
            parameters: &[
                Parameter { name: "a", default: 2.0, range: Range::POSITIVE },
                Parameter { name: "b", default: 0.5, range: Range::INSIDE_UNIT },
            ],
            make: |p| Box::new(p[0] * p[1]),
            facts: (),
        },
    ];

    fn made(name: &str, given: &[(&str, f64)]) -> Result<f64, String> {
        let given: Vec<(String, f64)> = given.iter().map(|(key, value)| (key.to_string(), *value)).collect();
        choose("thing", TABLE, name, &given).map(|(part, values)| *(part.make)(&values)).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_and_given_values_meet() {
        assert_eq!(made("plain", &[]), Ok(1.0));
        assert_eq!(made("scaled", &[]), Ok(1.0));
        assert_eq!(made("scaled", &[("b", 0.25)]), Ok(0.5));
    }

    #[test]
    fn every_refusal_names_the_argument_the_given_and_the_accepted() {
        assert_eq!(made("plane", &[]).unwrap_err(), "thing must be one of 'plain', 'scaled', got 'plane'");
        assert_eq!(
            made("plain", &[("a", 1.0)]).unwrap_err(),
            "thing 'plain' must be given without parameters, got 'a'"
        );
        assert_eq!(
            made("scaled", &[("c", 1.0)]).unwrap_err(),
            "thing 'scaled' must be given parameters among 'a', 'b', got 'c'"
        );
        assert_eq!(
            made("scaled", &[("a", -1.0)]).unwrap_err(),
            "a of thing 'scaled' must be a finite number > 0, got -1"
        );
        assert_eq!(made("scaled", &[("b", 1.0)]).unwrap_err(), "b of thing 'scaled' must be a number in (0, 1), got 1");
        assert!(Range::COUNT.contains(3.0) && !Range::COUNT.contains(2.5) && !Range::COUNT.contains(0.0));
        assert_eq!(Range::COUNT.to_string(), "an integer >= 1");
        assert!(made("scaled", &[("a", f64::NAN)]).is_err());
        assert!(made("scaled", &[("a", f64::INFINITY)]).is_err());
    }
}
