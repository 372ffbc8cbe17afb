//! Optimizer: how a gradient moves the parameters.
//! To add one, write `step`, a row in `OPTIMIZERS`, and its twin of the same name in `python/fastgd/reference/optimizer.py`.

use crate::error::Error;
use crate::registry::{Part, choose};

/// An update rule with its own memory (velocity, second moments).
pub trait Optimizer: Send {
    /// Forgets everything; the parameters will be `size` numbers.
    fn init(&mut self, size: usize);

    /// Moves `theta` once along `grad`, both of the size given to `init`.
    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64);
}

/// theta -= rate grad
struct Sgd;

impl Optimizer for Sgd {
    fn init(&mut self, _size: usize) {}

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        for (theta, grad) in theta.iter_mut().zip(grad) {
            *theta -= rate * grad;
        }
    }
}

/// Every update rule there is.
pub const OPTIMIZERS: &[Part<dyn Optimizer>] =
    &[Part { name: "sgd", formula: "theta -= rate grad", parameters: &[], make: |_| Box::new(Sgd), facts: () }];

/// The update rule called `name` with its parameters.
///
/// # Errors
/// If there is no such rule or parameter, or a value is out of range.
pub fn optimizer(name: &str, given: &[(String, f64)]) -> Result<Box<dyn Optimizer>, Error> {
    let (part, values) = choose("optimizer", OPTIMIZERS, name, given)?;
    Ok((part.make)(&values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_descends_a_bowl() {
        for part in OPTIMIZERS {
            let mut rule = optimizer(part.name, &[]).unwrap();
            let mut theta = [4.0, -3.0];
            rule.init(theta.len());
            for _ in 0..50 {
                let grad = theta;
                rule.step(&mut theta, &grad, 0.05);
            }
            assert!(theta[0].abs() < 4.0 && theta[1].abs() < 3.0, "{}: {theta:?}", part.name);
        }
    }

    #[test]
    fn sgd_is_the_textbook_step() {
        let mut theta = [1.0, 2.0];
        optimizer("sgd", &[]).unwrap().step(&mut theta, &[10.0, -20.0], 0.1);
        assert_eq!(theta, [0.0, 4.0]);
    }
}
