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
    /// Infinite where `scale` is 0: what leaves 0 is measured by nothing.
    limit: f64,
    /// By which share of the scale a sound full-batch run may end above its start: rounding where every step descends.
    slack: f64,
}

impl Bounds {
    /// From the objective at the start and at zero coefficients.
    pub fn new(start: f64, zero: f64, slack: f64) -> Self {
        let scale = start.max(zero);
        Bounds { start, scale, limit: if scale == 0.0 { f64::INFINITY } else { scale }, slack }
    }

    /// Whether an objective is finite and of a size that a sound run can have.
    pub fn hold(&self, loss: f64) -> bool {
        loss.is_finite() && loss <= GROWTH * self.limit
    }

    /// Differences of losses that are no more than rounding of what is squared.
    pub fn noise(&self) -> f64 {
        1e-28 * self.scale
    }

    /// Differences of losses with kinks that are no more than rounding.
    pub fn rounding(&self) -> f64 {
        1e-14 * self.scale
    }

    /// Whether a run ends at a `loss` that no noise explains.
    pub fn far_above(&self, loss: f64) -> bool {
        loss > FAR * self.limit
    }

    /// Whether a full-batch run that ends at `loss` ends above its start.
    pub fn above_start(&self, loss: f64) -> bool {
        loss > self.start + self.slack * self.limit
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

/// Gains over a whole rate of so many times the share that counts as an improvement within it are next to nothing.
const LITTLE: f64 = 10.0;

/// When the rate of a loss with kinks is halved, and how often it was: whenever the loss has halved, as it bends by
/// about one over the spread of the residuals; and whenever it has not improved on the best by `share |best|` for
/// `wait` epochs, for at a constant rate it hops about its minimum. After Goffin, "On Convergence Rates of Subgradient
/// Optimization Methods", 1977.
#[derive(Debug, Clone, Copy)]
pub struct Halving {
    share: f64,
    wait: u64,
    noise: f64,
    best: f64,
    waited: u64,
    /// Below half of this the loss has halved.
    whole: f64,
    /// The loss where the latest rate began, and the best until then.
    began: f64,
    reached: f64,
    /// Whether the loss grew from the beginning to the end of the rate before the latest.
    pub grew: bool,
    /// How many rates in a row gained next to nothing.
    pub idle: u64,
    /// Halvings in all.
    pub times: u64,
}

impl Halving {
    /// Improvements no larger than `noise` are none; `start` is the loss there.
    pub fn new(share: f64, wait: u64, noise: f64, start: f64) -> Self {
        let (best, whole, began, reached) = (start, start, start, start);
        Halving { share, wait, noise, best, waited: 0, whole, began, reached, grew: false, idle: 0, times: 0 }
    }

    /// Takes an epoch's loss; what the rate is to be multiplied by.
    pub fn factor(&mut self, loss: f64) -> f64 {
        let improved = loss < self.best - (self.share * self.best.abs()).max(self.noise);
        self.waited = if improved { 0 } else { self.waited + 1 };
        self.best = self.best.min(loss);
        let mut factor = 1.0;
        while 0.0 < loss && loss < self.whole / 2.0 {
            self.whole /= 2.0;
            self.times += 1;
            self.idle = 0;
            factor /= 2.0;
        }
        if factor == 1.0 && self.waited >= self.wait {
            let little = (LITTLE * self.share * self.reached.abs()).max(self.noise);
            self.idle = if self.best < self.reached - little { 0 } else { self.idle + 1 };
            self.times += 1;
            factor = 0.5;
        }
        if factor < 1.0 {
            self.grew = loss > self.began;
            self.began = if self.grew { self.best } else { loss };
            (self.waited, self.reached) = (0, self.best);
        }
        factor
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
        let nothing = Bounds::new(0.0, 0.0, 1e-12);
        assert!(nothing.hold(3.0) && !nothing.above_start(3.0) && !nothing.far_above(3.0) && !nothing.hold(f64::NAN));
        assert_eq!((nothing.noise(), nothing.rounding()), (0.0, 0.0));
    }

    #[test]
    fn the_rate_is_halved_with_the_loss_and_where_it_does_not_improve() {
        let mut halving = Halving::new(0.01, 2, 0.0, 16.0);
        let losses = [17.0, 3.0, 2.9, 2.9, 3.1, 2.5, 2.49, 2.49, 2.49, 2.49];
        let factors: Vec<f64> = losses.iter().map(|&loss| halving.factor(loss)).collect();
        assert_eq!(factors, [1.0, 0.25, 1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 1.0, 0.5]);
        assert_eq!((halving.times, halving.idle, halving.grew), (5, 1, false));
        assert_eq!((halving.factor(0.0), halving.factor(5.0)), (1.0, 1.0));
        assert_eq!((halving.factor(5.0), halving.grew), (0.5, true));
    }

    #[test]
    fn plateau_waits_in_a_row() {
        let mut plateau = Plateau::new(0.01, 2, 0.0);
        let losses = [10.0, 9.95, 5.0, 4.99, 4.0, 4.0, 3.999];
        let reached: Vec<bool> = losses.iter().map(|&loss| plateau.reached(loss)).collect();
        assert_eq!(reached, [false, false, false, false, false, false, true]);
    }
}
