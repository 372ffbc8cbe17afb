//! Pace: how rates go from row to row in scikit-learn's SGD estimators, and what l2 leaves of coefficients meanwhile.

use crate::kernels::{self, Set};

/// How the rate goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    Constant,
    /// 1 / (alpha (t0 + t - 1)), the first as large as the steps that typical coefficients need
    Optimal,
    /// eta0 / t^power
    InvScaling {
        power: f64,
    },
    /// Constant, and divided by 5 instead of stopping while above 1e-6.
    Adaptive,
    /// Passive-aggressive: min(eta0, loss / |x|^2). Crammer et al., 2006.
    Pa1,
    /// loss / (|x|^2 + 1 / (2 eta0))
    Pa2,
}

/// alpha ((1 - l1_ratio) |w|^2 / 2 + l1_ratio |w|_1)
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Elastic {
    pub alpha: f64,
    pub l1_ratio: f64,
    /// Whether there is an l2 part, and an l1 part.
    pub l2: bool,
    pub l1: bool,
}

/// How rates go from row to row, as long as an epoch lasts.
#[derive(Clone, Copy)]
pub struct Pace {
    pub rate: Rate,
    pub penalty: Elastic,
    pub eta0: f64,
    /// The latest.
    pub eta: f64,
    /// t0 of `Rate::Optimal`
    pub offset: f64,
    /// Of the epoch's first row.
    pub t: f64,
}

impl Pace {
    /// The rate of row t.
    #[inline]
    fn rate(&self, t: f64) -> f64 {
        match self.rate {
            Rate::Optimal => 1.0 / (self.penalty.alpha * (self.offset + t - 1.0)),
            Rate::InvScaling { power } => self.eta0 / raised(t, power),
            _ => self.eta,
        }
    }

    /// What l2 leaves of coefficients at some rate.
    #[inline]
    pub fn left(&self, rate: f64) -> f64 {
        let factor = 1.0 - (1.0 - self.penalty.l1_ratio) * rate * self.penalty.alpha;
        if factor > 0.0 { factor } else { 0.0 }
    }

    /// Sets `rates` to those of so many rows from t on, and `left` to what l2 leaves at these.
    pub fn look_ahead(&self, set: Set, t: f64, count: usize, rates: &mut Vec<f64>, left: &mut Vec<f64>) {
        rates.clear();
        rates.extend((0..count).map(|k| t + k as f64));
        match self.rate {
            Rate::InvScaling { power: 0.25 } => kernels::replace(set, rates, |t| self.eta0 / t.sqrt().sqrt()),
            _ => kernels::replace(set, rates, |t| self.rate(t)),
        }
        if self.penalty.l2 {
            left.clone_from(rates);
            kernels::replace(set, left, |rate| self.left(rate));
        }
    }
}

/// t^power, at a fraction of the price where roots will do.
#[inline]
fn raised(t: f64, power: f64) -> f64 {
    if power == 0.25 {
        t.sqrt().sqrt()
    } else if power == 0.5 {
        t.sqrt()
    } else {
        t.powf(power)
    }
}
