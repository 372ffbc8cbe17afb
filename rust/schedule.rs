//! Schedule: the rate of each update.
//! To add one, write `rate`, a row in `SCHEDULES`, and its twin of the same name in `python/fastgd/reference/schedule.py`.

use crate::error::Error;
use crate::registry::{Part, choose};

/// The rate as a function of time.
pub trait Schedule: Send + Sync {
    /// The rate of update `k` = 1, 2, … when `finished` epochs are over and the user set `lr`.
    fn rate(&self, lr: f64, k: u64, finished: u64) -> f64;
}

/// lr
struct Constant;

impl Schedule for Constant {
    fn rate(&self, lr: f64, _k: u64, _finished: u64) -> f64 {
        lr
    }
}

/// Every schedule there is.
pub const SCHEDULES: &[Part<dyn Schedule>] =
    &[Part { name: "constant", formula: "lr", parameters: &[], make: |_| Box::new(Constant), facts: () }];

/// The schedule called `name` with its parameters.
///
/// # Errors
/// If there is no such schedule or parameter, or a value is out of range.
pub fn schedule(name: &str, given: &[(String, f64)]) -> Result<Box<dyn Schedule>, Error> {
    let (part, values) = choose("schedule", SCHEDULES, name, given)?;
    Ok((part.make)(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schedule_starts_at_lr() {
        for part in SCHEDULES {
            assert_eq!(schedule(part.name, &[]).unwrap().rate(0.3, 1, 0), 0.3, "{}", part.name);
        }
    }
}
