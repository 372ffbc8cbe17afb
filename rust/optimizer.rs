//! Optimizer: how a gradient moves the parameters. The rules are PyTorch's, to the last digit.
//! To add one, write `step`, a row in `OPTIMIZERS`, and its twin of the same name in
//! `python/fastgd/reference/optimizer.py`.

use crate::error::Error;
use crate::registry::{Parameter, Part, Range, choose};

/// An update rule with its own memory (velocity, second moments).
pub trait Optimizer: Send {
    /// Forgets everything; the parameters start at `theta`.
    fn init(&mut self, theta: &[f64]);

    /// Moves `theta` once along `grad`.
    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64);

    /// How far coordinate `j` moves in the long run along a constant gradient of 1, a step: the length of the proximal
    /// step that follows, so that every rule has the same fixed point.
    fn gain(&self, _j: usize, rate: f64) -> f64 {
        rate
    }

    /// Whether a step is `theta -= rate grad` and nothing else.
    fn plain(&self) -> bool {
        false
    }

    /// Where the next gradient is to be taken; `None` at the parameters themselves.
    fn look_ahead(&self) -> Option<&[f64]> {
        None
    }

    /// Sees the parameters after the proximal step.
    fn settle(&mut self, _theta: &[f64]) {}
}

/// What a rule can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Batches of any size.
    Any,
    /// All rows at every step.
    FullBatch,
    /// One row at a time, and a squared loss: the rate is divided by `1 + rate curvature`, the curvature that of the
    /// row.
    SingleRows,
}

/// theta -= rate grad
struct Sgd;

impl Optimizer for Sgd {
    fn init(&mut self, _theta: &[f64]) {}

    fn plain(&self) -> bool {
        true
    }

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        for (theta, grad) in theta.iter_mut().zip(grad) {
            *theta -= rate * grad;
        }
    }
}

/// v = beta v + grad; theta -= rate v, or with Nesterov's correction rate (grad + beta v). Polyak, 1964; Nesterov,
/// 1983.
struct Momentum {
    beta: f64,
    corrected: bool,
    v: Vec<f64>,
}

impl Optimizer for Momentum {
    fn init(&mut self, theta: &[f64]) {
        self.v = vec![0.0; theta.len()];
    }

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        for ((theta, grad), v) in theta.iter_mut().zip(grad).zip(&mut self.v) {
            *v = self.beta * *v + grad;
            *theta -= rate * if self.corrected { grad + self.beta * *v } else { *v };
        }
    }

    fn gain(&self, _j: usize, rate: f64) -> f64 {
        rate / (1.0 - self.beta)
    }
}

/// v += grad^2; theta -= rate grad / (sqrt(v) + eps). Duchi, Hazan and Singer, 2011.
struct Adagrad {
    eps: f64,
    v: Vec<f64>,
}

impl Optimizer for Adagrad {
    fn init(&mut self, theta: &[f64]) {
        self.v = vec![0.0; theta.len()];
    }

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        for ((theta, grad), v) in theta.iter_mut().zip(grad).zip(&mut self.v) {
            *v += grad * grad;
            *theta -= rate * grad / (v.sqrt() + self.eps);
        }
    }

    fn gain(&self, j: usize, rate: f64) -> f64 {
        rate / (self.v[j].sqrt() + self.eps)
    }
}

/// v = alpha v + (1 - alpha) grad^2; theta -= rate grad / (sqrt(v) + eps). Tieleman and Hinton, 2012.
struct Rmsprop {
    alpha: f64,
    eps: f64,
    v: Vec<f64>,
}

impl Optimizer for Rmsprop {
    fn init(&mut self, theta: &[f64]) {
        self.v = vec![0.0; theta.len()];
    }

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        for ((theta, grad), v) in theta.iter_mut().zip(grad).zip(&mut self.v) {
            *v = self.alpha * *v + (1.0 - self.alpha) * grad * grad;
            *theta -= rate * grad / (v.sqrt() + self.eps);
        }
    }

    fn gain(&self, j: usize, rate: f64) -> f64 {
        rate / (self.v[j].sqrt() + self.eps)
    }
}

/// m = beta1 m + (1 - beta1) grad; v = beta2 v + (1 - beta2) grad^2; both divided by 1 - beta^t;
/// theta -= rate m / (sqrt(v) + eps). Kingma and Ba, 2015.
struct Adam {
    beta1: f64,
    beta2: f64,
    eps: f64,
    m: Vec<f64>,
    v: Vec<f64>,
    /// beta1^t, beta2^t
    powers: (f64, f64),
}

impl Optimizer for Adam {
    fn init(&mut self, theta: &[f64]) {
        (self.m, self.v, self.powers) = (vec![0.0; theta.len()], vec![0.0; theta.len()], (1.0, 1.0));
    }

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        self.powers = (self.powers.0 * self.beta1, self.powers.1 * self.beta2);
        let (of_m, of_v) = (1.0 - self.powers.0, 1.0 - self.powers.1);
        for (((theta, grad), m), v) in theta.iter_mut().zip(grad).zip(&mut self.m).zip(&mut self.v) {
            *m = self.beta1 * *m + (1.0 - self.beta1) * grad;
            *v = self.beta2 * *v + (1.0 - self.beta2) * grad * grad;
            *theta -= rate * (*m / of_m) / ((*v / of_v).sqrt() + self.eps);
        }
    }

    fn gain(&self, j: usize, rate: f64) -> f64 {
        rate / ((self.v[j] / (1.0 - self.powers.1)).sqrt() + self.eps)
    }
}

/// x' = prox(z - rate grad(z)); z = x' + (t - 1)/t' (x' - x) with t' = (1 + sqrt(1 + 4 t^2)) / 2, started afresh (t =
/// 1, z = x') whenever (z - x').(x' - x) > 0. Beck and Teboulle, 2009; O'Donoghue and Candès, 2015.
struct Accelerated {
    t: f64,
    x: Vec<f64>,
    z: Vec<f64>,
}

impl Optimizer for Accelerated {
    fn init(&mut self, theta: &[f64]) {
        (self.t, self.x, self.z) = (1.0, theta.to_vec(), theta.to_vec());
    }

    fn step(&mut self, theta: &mut [f64], grad: &[f64], rate: f64) {
        for ((theta, z), grad) in theta.iter_mut().zip(&self.z).zip(grad) {
            *theta = z - rate * grad;
        }
    }

    fn look_ahead(&self) -> Option<&[f64]> {
        Some(&self.z)
    }

    fn settle(&mut self, theta: &[f64]) {
        let turned: f64 = theta.iter().zip(&self.x).zip(&self.z).map(|((new, old), z)| (z - new) * (new - old)).sum();
        let t = (1.0 + (1.0 + 4.0 * self.t * self.t).sqrt()) / 2.0;
        let (t, push) = if turned > 0.0 { (1.0, 0.0) } else { (t, (self.t - 1.0) / t) };
        self.t = t;
        for ((new, x), z) in theta.iter().zip(&mut self.x).zip(&mut self.z) {
            *z = new + push * (new - *x);
            *x = *new;
        }
    }
}

const BETA: Parameter = Parameter { name: "beta", default: 0.9, range: Range::BELOW_ONE };

const fn eps(default: f64) -> Parameter {
    Parameter { name: "eps", default, range: Range::POSITIVE }
}

/// Every update rule there is.
pub const OPTIMIZERS: &[Part<dyn Optimizer, Use>] = &[
    Part { name: "sgd", formula: "theta -= rate grad", parameters: &[], make: |_| Box::new(Sgd), facts: Use::Any },
    Part {
        name: "momentum",
        formula: "v = beta v + grad; theta -= rate v",
        parameters: &[BETA],
        make: |p| Box::new(Momentum { beta: p[0], corrected: false, v: Vec::new() }),
        facts: Use::Any,
    },
    Part {
        name: "nesterov",
        formula: "v = beta v + grad; theta -= rate (grad + beta v)",
        parameters: &[BETA],
        make: |p| Box::new(Momentum { beta: p[0], corrected: true, v: Vec::new() }),
        facts: Use::Any,
    },
    Part {
        name: "adagrad",
        formula: "v += grad^2; theta -= rate grad / (sqrt(v) + eps)",
        parameters: &[eps(1e-10)],
        make: |p| Box::new(Adagrad { eps: p[0], v: Vec::new() }),
        facts: Use::Any,
    },
    Part {
        name: "rmsprop",
        formula: "v = alpha v + (1 - alpha) grad^2; theta -= rate grad / (sqrt(v) + eps)",
        parameters: &[Parameter { name: "alpha", default: 0.99, range: Range::BELOW_ONE }, eps(1e-8)],
        make: |p| Box::new(Rmsprop { alpha: p[0], eps: p[1], v: Vec::new() }),
        facts: Use::Any,
    },
    Part {
        name: "adam",
        formula: "m, v = moving means of grad, grad^2 (beta1, beta2), bias-corrected; theta -= rate m / (sqrt(v) + eps)",
        parameters: &[
            Parameter { name: "beta1", default: 0.9, range: Range::BELOW_ONE },
            Parameter { name: "beta2", default: 0.999, range: Range::BELOW_ONE },
            eps(1e-8),
        ],
        make: |p| {
            let (m, v) = (Vec::new(), Vec::new());
            Box::new(Adam { beta1: p[0], beta2: p[1], eps: p[2], m, v, powers: (1.0, 1.0) })
        },
        facts: Use::Any,
    },
    Part {
        name: "accelerated",
        formula: "x' = prox(z - rate grad(z)); z = x' + (t - 1)/t' (x' - x), restarted when it turns; full batch only",
        parameters: &[],
        make: |_| Box::new(Accelerated { t: 1.0, x: Vec::new(), z: Vec::new() }),
        facts: Use::FullBatch,
    },
    Part {
        name: "implicit",
        formula: "w -= rate c r x / (1 + rate c (|x|^2 + 1)), r = raw - y; single rows and squared losses of curvature c only",
        parameters: &[],
        make: |_| Box::new(Sgd),
        facts: Use::SingleRows,
    },
];

/// The update rule called `name` with its parameters, and what it can be used for.
///
/// # Errors
/// If there is no such rule or parameter, or a value is out of range.
pub fn optimizer(name: &str, given: &[(String, f64)]) -> Result<(Box<dyn Optimizer>, Use), Error> {
    let (part, values) = choose("optimizer", OPTIMIZERS, name, given)?;
    Ok(((part.make)(&values), part.facts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps along the gradients 1, -2, 3 (one coordinate, rate 0.1, from 1), worked out by hand.
    fn path(name: &str) -> [f64; 3] {
        let (mut rule, _) = optimizer(name, &[]).unwrap();
        let mut theta = [1.0];
        rule.init(&theta);
        [1.0, -2.0, 3.0].map(|grad| {
            rule.step(&mut theta, &[grad], 0.1);
            rule.settle(&theta);
            theta[0]
        })
    }

    fn close(found: [f64; 3], expected: [f64; 3]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn steps_by_hand() {
        close(path("sgd"), [0.9, 1.1, 0.8]);
        // v = 1, -1.1, 2.01
        close(path("momentum"), [0.9, 1.01, 0.809]);
        close(path("nesterov"), [1.0 - 0.19, 0.81 + 0.299, 1.109 - 0.4809]);
        // v = 1, 5, 14
        let (a, b) = (0.2 / 5f64.sqrt(), 0.3 / 14f64.sqrt());
        let after = [0.9, 0.9 + a, 0.9 + a - b];
        for (found, expected) in path("adagrad").iter().zip(after) {
            assert!((found - expected).abs() <= 1e-9);
        }
        // v = 0.01, 0.0499, 0.139401
        let (a, b, c) = (0.1 / 0.1, 0.2 / 0.0499f64.sqrt(), 0.3 / 0.139401f64.sqrt());
        for (found, expected) in path("rmsprop").iter().zip([1.0 - a, 1.0 - a + b, 1.0 - a + b - c]) {
            assert!((found - expected).abs() <= 1e-6);
        }
        // m / (1 - 0.9^t) = 1, -0.11/0.19, 0.201/0.271; v / (1 - 0.999^t) = 1, 0.004999/0.001999,
        // 0.013994001/0.002997001
        let (m, v) = ([1.0, -0.11 / 0.19, 0.201 / 0.271], [1.0, 0.004999 / 0.001999, 0.013994001 / 0.002997001f64]);
        let mut theta = 1.0;
        for (t, found) in path("adam").iter().enumerate() {
            theta -= 0.1 * m[t] / v[t].sqrt();
            assert!((found - theta).abs() <= 1e-7, "{t}: {found} {theta}");
        }
    }

    #[test]
    fn accelerated_is_fista_with_restart() {
        let (mut rule, _) = optimizer("accelerated", &[]).unwrap();
        let (mut x, mut z, mut t) = (4.0, 4.0, 1.0f64);
        let mut theta = [4.0];
        rule.init(&theta);
        let mut restarts = 0;
        for _ in 0..40 {
            let at = rule.look_ahead().unwrap()[0];
            assert!((at - z).abs() <= 1e-12);
            rule.step(&mut theta, &[at], 0.3);
            rule.settle(&theta);
            let new = z - 0.3 * z;
            if (z - new) * (new - x) > 0.0 {
                (t, z) = (1.0, new);
                restarts += 1;
            } else {
                let next = (1.0 + (1.0 + 4.0 * t * t).sqrt()) / 2.0;
                (z, t) = (new + (t - 1.0) / next * (new - x), next);
            }
            x = new;
            assert!((theta[0] - x).abs() <= 1e-12);
        }
        assert!(restarts > 1 && x.abs() < 1e-4, "{restarts} {x}");
    }

    #[test]
    fn every_rule_descends_a_bowl() {
        for part in OPTIMIZERS {
            let (mut rule, _) = optimizer(part.name, &[]).unwrap();
            let mut theta = [4.0, -3.0];
            rule.init(&theta);
            for _ in 0..50 {
                let grad = rule.look_ahead().map_or(theta, |z| [z[0], z[1]]);
                rule.step(&mut theta, &grad, 0.05);
                rule.settle(&theta);
                assert!(rule.gain(1, 0.05) > 0.0);
            }
            assert!(theta[0].abs() < 4.0 && theta[1].abs() < 3.0, "{}: {theta:?}", part.name);
        }
    }
}
