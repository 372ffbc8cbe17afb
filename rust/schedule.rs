//! Schedule: the rate of each update.
//! To add one, write `rate`, a row in `SCHEDULES`, and its twin of the same name in
//! `python/fastgd/reference/schedule.py`.

use crate::error::Error;
use crate::registry::{Parameter, Part, Range, choose};

/// When an update happens.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// The update's number, 1, 2, …
    pub k: u64,
    /// Epochs that are over.
    pub finished: u64,
    /// The number of the last update, if all epochs are run.
    pub last: u64,
}

impl Time {
    /// From 0 at the first update to 1 at the last.
    fn share(&self) -> f64 {
        if self.last > 1 { (self.k - 1) as f64 / (self.last - 1) as f64 } else { 0.0 }
    }
}

/// The rate as a function of time.
pub trait Schedule: Send + Sync {
    /// The rate of the update at `time` when the user set `lr`.
    fn rate(&self, lr: f64, time: Time) -> f64;

    /// The rates of the update at `time` and of those after it, in the same epoch.
    fn rates(&self, lr: f64, time: Time, rates: &mut [f64]) {
        for (rate, k) in rates.iter_mut().zip(time.k..) {
            *rate = self.rate(lr, Time { k, ..time });
        }
    }
}

/// lr
struct Constant;

impl Schedule for Constant {
    fn rate(&self, lr: f64, _time: Time) -> f64 {
        lr
    }
}

/// lr / k^power
struct Invscaling {
    power: f64,
}

impl Schedule for Invscaling {
    fn rate(&self, lr: f64, time: Time) -> f64 {
        lr / (time.k as f64).powf(self.power)
    }
}

/// lr / (1 + decay (k - 1))
struct InverseTime {
    decay: f64,
}

impl Schedule for InverseTime {
    fn rate(&self, lr: f64, time: Time) -> f64 {
        lr / (1.0 + self.decay * (time.k as f64 - 1.0))
    }
}

/// lr gamma^(epochs // every)
struct Step {
    every: f64,
    gamma: f64,
}

impl Schedule for Step {
    fn rate(&self, lr: f64, time: Time) -> f64 {
        lr * self.gamma.powf((time.finished as f64 / self.every).floor())
    }
}

/// A straight line from lr to end
struct Linear {
    end: f64,
}

impl Schedule for Linear {
    fn rate(&self, lr: f64, time: Time) -> f64 {
        lr + (self.end - lr) * time.share()
    }
}

/// end + (lr - end) (1 + cos(pi share)) / 2. Loshchilov and Hutter, 2017.
struct Cosine {
    end: f64,
}

impl Schedule for Cosine {
    fn rate(&self, lr: f64, time: Time) -> f64 {
        self.end + (lr - self.end) * (1.0 + (std::f64::consts::PI * time.share()).cos()) / 2.0
    }
}

const fn gamma(default: f64) -> Parameter {
    Parameter { name: "gamma", default, range: Range::UP_TO_ONE }
}

const END: Parameter = Parameter { name: "end", default: 0.0, range: Range::NON_NEGATIVE };

/// Every schedule there is.
pub const SCHEDULES: &[Part<dyn Schedule>] = &[
    Part { name: "constant", formula: "lr", parameters: &[], make: |_| Box::new(Constant), facts: () },
    Part {
        name: "invscaling",
        formula: "lr / k^power at update k = 1, 2, ...",
        parameters: &[Parameter { name: "power", default: 0.5, range: Range::NON_NEGATIVE }],
        make: |p| Box::new(Invscaling { power: p[0] }),
        facts: (),
    },
    Part {
        name: "inverse_time",
        formula: "lr / (1 + decay (k - 1)) at update k = 1, 2, ...",
        parameters: &[Parameter { name: "decay", default: 0.01, range: Range::NON_NEGATIVE }],
        make: |p| Box::new(InverseTime { decay: p[0] }),
        facts: (),
    },
    Part {
        name: "exponential",
        formula: "lr gamma^e after e epochs",
        parameters: &[gamma(0.99)],
        make: |p| Box::new(Step { every: 1.0, gamma: p[0] }),
        facts: (),
    },
    Part {
        name: "step",
        formula: "lr gamma^(e // every) after e epochs",
        parameters: &[Parameter { name: "every", default: 10.0, range: Range::COUNT }, gamma(0.1)],
        make: |p| Box::new(Step { every: p[0], gamma: p[1] }),
        facts: (),
    },
    Part {
        name: "linear",
        formula: "straight from lr at the first update to end at the last",
        parameters: &[END],
        make: |p| Box::new(Linear { end: p[0] }),
        facts: (),
    },
    Part {
        name: "cosine",
        formula: "half a cosine wave from lr at the first update to end at the last",
        parameters: &[END],
        make: |p| Box::new(Cosine { end: p[0] }),
        facts: (),
    },
];

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

    fn rates(name: &str, given: &[(&str, f64)]) -> Vec<f64> {
        let given: Vec<(String, f64)> = given.iter().map(|(key, value)| (key.to_string(), *value)).collect();
        let made = schedule(name, &given).unwrap();
        // five updates, two an epoch
        let rates = |k, count| {
            let mut rates = vec![0.0; count];
            made.rates(0.8, Time { k, finished: (k - 1) / 2, last: 5 }, &mut rates);
            rates
        };
        [rates(1, 2), rates(3, 2), rates(5, 1)].concat()
    }

    #[test]
    fn rates_by_hand() {
        let close = |found: Vec<f64>, expected: [f64; 5]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-15, "{found} {expected}");
            }
        };
        close(rates("constant", &[]), [0.8; 5]);
        close(rates("invscaling", &[("power", 1.0)]), [0.8, 0.4, 0.8 / 3.0, 0.2, 0.16]);
        close(rates("exponential", &[("gamma", 0.5)]), [0.8, 0.8, 0.4, 0.4, 0.2]);
        close(rates("step", &[("every", 2.0), ("gamma", 0.5)]), [0.8, 0.8, 0.8, 0.8, 0.4]);
        close(rates("linear", &[("end", 0.4)]), [0.8, 0.7, 0.6, 0.5, 0.4]);
        let half = 0.5f64.sqrt();
        close(rates("cosine", &[]), [0.8, 0.4 * (1.0 + half), 0.4, 0.4 * (1.0 - half), 0.0]);
    }

    #[test]
    fn every_schedule_starts_at_lr_and_bears_a_single_update() {
        for part in SCHEDULES {
            let made = schedule(part.name, &[]).unwrap();
            for last in [1, 7] {
                assert_eq!(made.rate(0.3, Time { k: 1, finished: 0, last }), 0.3, "{}", part.name);
            }
        }
    }
}
