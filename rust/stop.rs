//! Stop: when a run is over, and how it ended.

/// How a run ended: data, never an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The stop rule was met.
    Converged,
    /// All epochs were run.
    MaxEpochs,
    /// Something was not finite, the objective grew beyond all measure, or a full-batch run ended above its start.
    Diverged,
    /// The observer asked for it.
    Stopped,
}

impl Status {
    /// The name that users see.
    pub fn name(self) -> &'static str {
        match self {
            Status::Converged => "converged",
            Status::MaxEpochs => "max_epochs",
            Status::Diverged => "diverged",
            Status::Stopped => "stopped",
        }
    }
}

/// Beyond this many times the larger of the objectives at the start and at zero, a run has diverged.
const GROWTH: f64 = 1e6;

/// A run in batches may well end above its start, but not by so much.
const FAR: f64 = 10.0;

/// What the objective must stay below.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    start: f64,
    scale: f64,
    /// By which share of the scale a sound full-batch run may end above its start: rounding where every step descends.
    slack: f64,
}

impl Bounds {
    /// From the objective at the start and at zero coefficients.
    pub fn new(start: f64, zero: f64, slack: f64) -> Self {
        Bounds { start, scale: start.max(zero), slack }
    }

    /// Whether an objective is finite and of a size that a sound run can have.
    pub fn hold(&self, loss: f64) -> bool {
        loss.is_finite() && loss <= GROWTH * self.scale
    }

    /// Differences of losses that are no more than rounding of what is squared.
    pub fn noise(&self) -> f64 {
        1e-28 * self.scale
    }

    /// Whether a run ends at a `loss` that no noise explains.
    pub fn far_above(&self, loss: f64) -> bool {
        loss > FAR * self.scale
    }

    /// Whether a full-batch run that ends at `loss` ends above its start.
    pub fn above_start(&self, loss: f64) -> bool {
        loss > self.start + self.slack * self.scale
    }
}

/// Converged when the loss has not improved on the best by `tol |best|` for `patience` epochs in a row;
/// improvements no larger than `noise` are none.
#[derive(Debug, Clone, Copy)]
pub struct Plateau {
    tol: f64,
    patience: u64,
    noise: f64,
    best: f64,
    waited: u64,
}

impl Plateau {
    /// Nothing seen yet; the first loss is always an improvement.
    pub fn new(tol: f64, patience: u64, noise: f64) -> Self {
        Plateau { tol, patience, noise, best: f64::INFINITY, waited: 0 }
    }

    /// Takes an epoch's loss; whether the run has converged with it.
    pub fn reached(&mut self, loss: f64) -> bool {
        let improved = self.best.is_infinite() || loss < self.best - (self.tol * self.best.abs()).max(self.noise);
        self.waited = if improved { 0 } else { self.waited + 1 };
        self.best = self.best.min(loss);
        self.waited >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_catch_growth_and_what_is_not_finite() {
        let bounds = Bounds::new(2.0, 1.0, 1e-12);
        assert!(bounds.hold(2e6) && !bounds.hold(2.1e6));
        assert!(!bounds.hold(f64::NAN) && !bounds.hold(f64::INFINITY));
        assert!(bounds.above_start(2.001) && !bounds.above_start(2.0 + 1e-15));
        assert!(!Bounds::new(2.0, 1.0, 1e-3).above_start(2.001));
        assert!(bounds.far_above(21.0) && !bounds.far_above(19.0));
        assert!(!Bounds::new(f64::INFINITY, 1.0, 1e-12).hold(f64::INFINITY));
    }

    #[test]
    fn plateau_waits_in_a_row() {
        let mut plateau = Plateau::new(0.01, 2, 0.0);
        let losses = [10.0, 9.95, 5.0, 4.99, 4.0, 4.0, 3.999];
        let reached: Vec<bool> = losses.iter().map(|&loss| plateau.reached(loss)).collect();
        assert_eq!(reached, [false, false, false, false, false, false, true]);
    }
}
