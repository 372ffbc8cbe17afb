//! Solver: the loop. Gradient of a batch, rate, step; a record, a look at the stop rules; again.

mod batches;

use crate::brought;
use crate::data::{Dense, Pick, Problem};
use crate::error::Error;
use crate::history::{History, Record};
use crate::objective::{Few, Objective, Scratch};
use crate::observe::{Observe, State, Watch};
use crate::optimizer::Optimizer;
use crate::sampler::{Permute, Sampler, Shuffle};
use crate::schedule::{Schedule, Time};
use crate::stop::{Bounds, Halving, Plateau, Status};
use crate::tail::Tail;

/// How to run.
pub struct Config {
    pub optimizer: Box<dyn Optimizer>,
    /// The loss's curvature, where the rule divides each rate by 1 + rate times the curvature of the row.
    pub implicit: Option<f64>,
    pub schedule: Box<dyn Schedule>,
    pub lr: f64,
    pub epochs: u64,
    /// Rows a batch; `None` takes all rows at every step.
    pub batch_size: Option<usize>,
    pub shuffle: Shuffle,
    pub tol: Option<f64>,
    /// Full batch: converged, too, when the gradient is at most so many times as long as the coefficients.
    pub certificate: f64,
    /// With it: (eps L, L), L the largest curvature: a gradient shorter than eps L (|w| + sqrt(loss / L)) is rounding.
    pub rounding: (f64, f64),
    pub patience: u64,
    /// As in `Halving` its share and wait, where the rate is to be halved.
    pub halving: Option<(f64, u64)>,
    /// As in `Bounds`.
    pub slack: f64,
    pub record: Record,
    /// Updates of an earlier run that this one goes on from: steps to be recorded count them.
    pub steps_before: u64,
    pub exact_loss: bool,
    /// Records are dropped, every second one, whenever there are so many.
    pub most_records: Option<usize>,
    /// In batches: return the mean of the iterates of the later half of the epochs.
    pub tail_average: bool,
}

/// What came of it. `theta` as in `Objective`.
#[derive(Debug)]
pub struct Solution {
    pub theta: Vec<f64>,
    /// The objective at `theta`.
    pub loss: f64,
    pub status: Status,
    pub epochs: u64,
    pub steps: u64,
    /// The epoch whose end was best, on the validation rows if there were any.
    pub best_epoch: u64,
    /// Of the latest gradient.
    pub grad_norm: f64,
    /// How often the rate was halved, and how many of the latest rates in a row gained next to nothing.
    pub halvings: u64,
    pub idle: u64,
    pub history: History,
}

/// Minimises `objective` from `theta`. `permute` draws the order of the rows. With a `validation` objective, that
/// decides when to stop, and its best iterate is returned.
///
/// # Errors
/// What the observer or `permute` answers, and lack of memory. Not converging is a status.
pub fn solve(
    objective: &Objective,
    validation: Option<&Objective>,
    config: &mut Config,
    theta: Vec<f64>,
    permute: &mut dyn Permute,
    observe: &mut dyn Observe,
) -> Result<Solution, Error> {
    let (n, shuffle) = (objective.problem.n, config.shuffle);
    let together = match config.batch_size {
        Some(_) if shuffle != Shuffle::No => {
            brought::together(objective.problem, config.epochs, objective.threads, &mut Watch::new(observe))?
        }
        _ => None,
    };
    let rows = together.as_ref().map(|rows| Dense::new(rows, objective.problem.rows.d())).transpose()?;
    let visited = rows.as_ref().map(|rows| Problem { rows, ..*objective.problem });
    let visited = Objective { problem: visited.as_ref().unwrap_or(objective.problem), ..*objective };
    let mut run = Run::start(objective, &visited, validation, config, theta, observe)?;
    let status = match run.config.batch_size {
        None => run.full_batch()?,
        Some(size) => run.batches(size, &mut Sampler::new(n, shuffle, permute))?,
    };
    run.end(status)
}

/// A run under way.
struct Run<'a> {
    objective: &'a Objective<'a>,
    /// The same, with the numbers of each row together.
    visited: &'a Objective<'a>,
    validation: Option<&'a Objective<'a>>,
    /// All rows, if they are, and every step takes them.
    few: Option<Few<'a>>,
    config: &'a mut Config,
    watch: Watch<'a>,
    scratch: Scratch,
    history: History,
    /// Records that were wanted so far; one in `stride` is kept.
    due: u64,
    stride: u64,
    theta: Vec<f64>,
    /// Where theta was before the latest rows in turn, and the running sum of its tail.
    before: Vec<f64>,
    before_tail: Vec<f64>,
    grad: Vec<f64>,
    /// The loss that came with `grad`.
    loss: f64,
    grad_norm: f64,
    /// What the schedule starts from.
    lr: f64,
    rate: f64,
    halving: Option<Halving>,
    epochs: u64,
    steps: u64,
    /// The number of the last step, if all epochs are run.
    last: u64,
    bounds: Bounds,
    /// The end of an epoch with the lowest loss so far, on the validation rows if there are any, and that loss.
    best: (Vec<f64>, f64),
    best_epoch: u64,
    /// The highest loss of an epoch's end.
    worst: f64,
    /// The start, and the objective there.
    first: (Vec<f64>, f64),
    tail: Tail,
}

impl<'a> Run<'a> {
    fn start(
        objective: &'a Objective<'a>,
        visited: &'a Objective<'a>,
        validation: Option<&'a Objective<'a>>,
        config: &'a mut Config,
        theta: Vec<f64>,
        observe: &'a mut dyn Observe,
    ) -> Result<Self, Error> {
        config.optimizer.init(&theta);
        let last =
            config.epochs.saturating_mul(config.batch_size.map_or(1, |size| objective.problem.n.div_ceil(size) as u64));
        let records = match config.record {
            Record::Nothing => 0,
            Record::Epochs => config.epochs.saturating_add(1),
            Record::Steps(every) => (last / every).saturating_add(2),
        };
        let records = usize::try_from(records).unwrap_or(usize::MAX).min(config.most_records.unwrap_or(usize::MAX));
        let mut run = Run {
            objective,
            visited,
            validation,
            few: if config.batch_size.is_none() { objective.few() } else { None },
            watch: Watch::new(observe),
            scratch: Scratch::default(),
            history: History::expecting(records),
            due: 0,
            stride: 1,
            before: theta.clone(),
            before_tail: Vec::new(),
            grad: vec![0.0; theta.len()],
            loss: 0.0,
            grad_norm: 0.0,
            lr: config.lr,
            halving: None,
            rate: config.schedule.rate(config.lr, Time { k: 1, finished: 0, last }),
            epochs: 0,
            steps: 0,
            last,
            bounds: Bounds::new(0.0, 0.0, 0.0),
            best: (theta.clone(), f64::INFINITY),
            best_epoch: 0,
            worst: f64::NEG_INFINITY,
            first: (theta.clone(), f64::INFINITY),
            tail: Tail::new(if config.tail_average { theta.len() } else { 0 }),
            theta,
            config,
        };
        run.gradient_of_all()?;
        run.measure();
        let at_zero = run.theta.iter().all(|&theta| theta == 0.0);
        let zero = if at_zero { run.loss } else { run.exact(&vec![0.0; run.theta.len()])? };
        run.bounds = Bounds::new(run.loss, zero, run.config.slack);
        run.first.1 = run.loss;
        let (start, noise) = (run.loss, run.bounds.rounding());
        run.halving = run.config.halving.map(|(share, wait)| Halving::new(share, wait, noise, start));
        let val_loss = run.validate()?;
        run.keep_best(val_loss.unwrap_or(run.loss));
        run.report(run.loss, val_loss, run.config.record != Record::Nothing, false)?;
        Ok(run)
    }

    /// One epoch is one step. What each takes is compiled into the loop: calls take as long as few rows do.
    fn full_batch(&mut self) -> Result<Status, Error> {
        let mut plateau = self.plateau();
        let small = match self.config.tol {
            Some(tol) if self.validation.is_none() => tol * self.grad_norm_at_zero()?,
            _ => f64::NEG_INFINITY,
        };
        if !self.bounds.hold(self.loss) {
            return Ok(Status::Diverged);
        }
        if self.small_gradient(small) {
            return Ok(Status::Converged);
        }
        while self.epochs < self.config.epochs {
            self.look_ahead()?;
            self.step(self.objective, 0);
            self.epochs += 1;
            self.gradient_of_all()?;
            self.measure();
            let record = self.config.record == Record::Epochs
                || self.config.record.wants_step(self.config.steps_before + self.steps);
            let val_loss = self.validate()?;
            let stop = self.report(self.loss, val_loss, record, true)?;
            if !self.bounds.hold(self.loss) {
                return Ok(Status::Diverged);
            }
            self.keep_best(val_loss.unwrap_or(self.loss));
            let settled = val_loss.is_some_and(|loss| plateau.as_mut().is_some_and(|plateau| plateau.reached(loss)));
            if settled || self.small_gradient(small) || (self.halving.is_some() && self.halve(self.loss)?) {
                return Ok(Status::Converged);
            }
            if stop {
                return Ok(Status::Stopped);
            }
        }
        Ok(Status::MaxEpochs)
    }

    /// Whether the gradient is so short that the run has converged.
    #[inline(always)]
    fn small_gradient(&self, small: f64) -> bool {
        let mut certified = f64::NEG_INFINITY;
        if self.config.certificate > 0.0 && self.validation.is_none() {
            let length = self.objective.penalty.length(&self.theta[..self.objective.coefs()]);
            let (eps, largest) = self.config.rounding;
            certified = (self.config.certificate * length).max(eps * (length + (self.loss / largest).sqrt()));
        }
        let small = small.max(certified);
        self.grad_norm <= small && small.is_finite()
    }

    /// Halves the rate where it is time to; whether halving it brings no more. Full batch the rule begins afresh there,
    /// and from the best state if the loss grew.
    fn halve(&mut self, loss: f64) -> Result<bool, Error> {
        let Some(halving) = &mut self.halving else { return Ok(false) };
        let factor = halving.factor(loss);
        let (grew, idle) = (halving.grew, halving.idle);
        self.lr *= factor;
        if factor < 1.0 && self.config.batch_size.is_none() {
            if grew {
                self.theta.copy_from_slice(&self.best.0);
                self.gradient_of_all()?;
                self.measure();
            }
            self.config.optimizer.init(&self.theta);
        }
        Ok(self.config.tol.is_some() && self.validation.is_none() && idle >= self.config.patience)
    }

    /// The last record, unless it is made already, and the objective where the run ends.
    fn end(mut self, mut status: Status) -> Result<Solution, Error> {
        if self.history.last_step().is_some_and(|step| step != self.steps) {
            let (shown, val_loss) = (self.exact_or(self.loss)?, self.validate()?);
            self.stride = 1;
            self.report(shown, val_loss, true, false)?;
        }
        let full_batch = self.config.batch_size.is_none();
        if self.halving.is_some() && full_batch {
            self.theta.copy_from_slice(&self.best.0);
            self.loss = self.exact(&self.best.0.clone())?;
        }
        let mut loss = if full_batch { self.loss } else { self.exact(&self.theta.clone())? };
        let worse = if full_batch {
            // or has been far above, never below, and came back by chance
            self.bounds.above_start(loss) || (self.best_epoch == 0 && self.bounds.far_above(self.worst))
        } else {
            self.bounds.far_above(loss)
        };
        if worse || !self.bounds.hold(loss) {
            status = Status::Diverged;
        }
        let chosen = match self.tail.mean() {
            Some(mean) if status != Status::Diverged => Some(mean),
            _ if status == Status::Diverged || self.validation.is_some() => Some(self.best.0.clone()),
            _ => None,
        };
        if let Some(theta) = chosen {
            loss = self.exact(&theta)?;
            self.theta = theta;
        }
        if status == Status::Diverged && (loss.is_nan() || loss > self.first.1) {
            (self.theta, loss) = self.first.clone();
        }
        let (halvings, idle) = self.halving.map_or((0, 0), |halving| (halving.times, halving.idle));
        let Run { theta, epochs, steps, best_epoch, grad_norm, history, .. } = self;
        Ok(Solution { theta, loss, status, epochs, steps, best_epoch, grad_norm, halvings, idle, history })
    }

    /// Sets `grad` and `loss` to those of `batch`, penalty included; returns the sum of `s_i loss_i`, and the penalty.
    fn gradient(&mut self, of: &Objective, batch: &Pick) -> Result<(f64, f64), Error> {
        let sum = of.gradient(batch, &self.theta, &mut self.grad, &mut self.scratch, &mut self.watch)?;
        let penalty = self.objective.penalty(&self.theta);
        self.loss = self.objective.reduce(sum, batch.len()) + penalty;
        Ok((sum, penalty))
    }

    /// The same over all rows.
    #[inline(always)]
    fn gradient_of_all(&mut self) -> Result<(), Error> {
        let Some(few) = &self.few else { return self.gradient(self.visited, &self.objective.all()).map(drop) };
        let loss = self.objective.gradient_of(few, &self.theta, &mut self.grad, &mut self.watch)?;
        self.loss = loss + self.objective.penalty(&self.theta);
        Ok(())
    }

    /// Takes the gradient where the update rule wants it, if that is not where the run stands.
    #[inline(always)]
    fn look_ahead(&mut self) -> Result<(), Error> {
        let Some(z) = self.config.optimizer.look_ahead() else { return Ok(()) };
        match &self.few {
            Some(few) => self.objective.gradient_of(few, z, &mut self.grad, &mut self.watch)?,
            None => {
                let all = self.objective.all();
                self.objective.gradient(&all, z, &mut self.grad, &mut self.scratch, &mut self.watch)?
            }
        };
        Ok(())
    }

    /// One update along `grad`; `row` is the first of its batch.
    #[inline(always)]
    fn step(&mut self, of: &Objective, row: usize) {
        let Config { optimizer, schedule, implicit, .. } = &mut *self.config;
        self.steps += 1;
        self.rate = schedule.rate(self.lr, Time { k: self.steps, finished: self.epochs, last: self.last });
        let rate = match *implicit {
            Some(c) => self.rate / (1.0 + self.rate * of.row_curvature(row, c)),
            None => self.rate,
        };
        optimizer.step(&mut self.theta, &self.grad, rate);
        self.objective.penalty.prox(&mut self.theta[..self.objective.coefs()], |j| optimizer.gain(j, self.rate));
        optimizer.settle(&self.theta);
    }

    fn plateau(&self) -> Option<Plateau> {
        self.config.tol.map(|tol| Plateau::new(tol, self.config.patience, self.bounds.noise()))
    }

    /// The loss on the validation rows, if there are any.
    fn validate(&mut self) -> Result<Option<f64>, Error> {
        self.validation.map(|rows| rows.value(&self.theta, &mut self.scratch, &mut self.watch)).transpose()
    }

    /// Sets `grad_norm` to the length of `grad`.
    #[inline(always)]
    fn measure(&mut self) {
        self.grad_norm =
            self.objective.penalty.gradient_norm(&self.theta, &self.grad, self.objective.coefs(), self.rate);
    }

    fn grad_norm_at_zero(&mut self) -> Result<f64, Error> {
        let (zero, mut grad) = (vec![0.0; self.theta.len()], vec![0.0; self.theta.len()]);
        self.objective.gradient(&self.objective.all(), &zero, &mut grad, &mut self.scratch, &mut self.watch)?;
        Ok(self.objective.penalty.gradient_norm(&zero, &grad, self.objective.coefs(), self.rate))
    }

    /// The objective over all rows at `theta`.
    fn exact(&mut self, theta: &[f64]) -> Result<f64, Error> {
        self.objective.value(theta, &mut self.scratch, &mut self.watch)
    }

    /// The exact objective where the user asked for it, else `loss`, which came for free.
    fn exact_or(&mut self, loss: f64) -> Result<f64, Error> {
        if self.config.exact_loss && self.config.batch_size.is_some() {
            self.exact(&self.theta.clone())
        } else {
            Ok(loss)
        }
    }

    #[inline(always)]
    fn keep_best(&mut self, loss: f64) {
        self.worst = self.worst.max(loss);
        if loss < self.best.1 {
            self.best.0.copy_from_slice(&self.theta);
            self.best.1 = loss;
            self.best_epoch = self.epochs;
        }
    }

    /// Records where the run is and shows it to the observer, as asked; `true` if the observer wants to stop.
    #[inline(always)]
    fn report(&mut self, loss: f64, val_loss: Option<f64>, record: bool, show: bool) -> Result<bool, Error> {
        let Run { objective, config, watch, history, theta, grad_norm, rate, epochs, steps, due, stride, .. } = self;
        let (coef, intercept) = theta.split_at(objective.coefs());
        let state = State { epoch: *epochs, step: *steps, loss, coef, intercept, rate: *rate, grad_norm: *grad_norm };
        *due += u64::from(record);
        if record && (*due - 1).is_multiple_of(*stride) {
            if config.most_records.is_some_and(|most| history.len() >= most) {
                history.thin(coef.len(), objective.problem.outputs);
                *stride *= 2;
            }
            history.push(&state, val_loss, watch.seconds(), objective.problem.outputs)?;
        }
        if show { watch.epoch(&state) } else { Ok(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dense;
    use crate::loss::loss;
    use crate::observe::Alone;
    use crate::penalty::Penalty;
    use crate::{optimizer::optimizer, schedule::schedule};

    fn run(name: &str, lr: f64, epochs: u64, batch_size: Option<usize>, record: Record) -> Solution {
        let (x, y) = ([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0]);
        let rows = Dense::new(&x, 1).unwrap();
        let problem = Problem::new(&rows, 4, &y, 1, &[]).unwrap();
        let (loss, facts) = loss(name, &[]).unwrap();
        let objective = Objective {
            problem: &problem,
            loss: &*loss,
            reduction: facts.reduction,
            penalty: Penalty::default(),
            fit_intercept: false,
            threads: 1,
            set: crate::kernels::Set::BASELINE,
        };
        let mut config = Config {
            optimizer: optimizer("sgd", &[]).unwrap().0,
            implicit: None,
            schedule: schedule("constant", &[]).unwrap(),
            lr,
            epochs,
            batch_size,
            shuffle: Shuffle::EveryEpoch,
            tol: None,
            certificate: 0.0,
            rounding: (0.0, 1.0),
            slack: 1e-12,
            most_records: None,
            patience: 5,
            halving: None,
            record,
            steps_before: 0,
            exact_loss: false,
            tail_average: false,
        };
        let mut permute = |order: &mut Vec<u32>| {
            order.clear();
            order.extend([2, 0, 3, 1]);
            Ok(())
        };
        solve(&objective, None, &mut config, vec![0.0], &mut permute, &mut Alone).unwrap()
    }

    #[test]
    fn the_gradient_by_hand() {
        for (name, w) in [("mse", 1.9224809378309713), ("sse", 1.9999999780097675)] {
            let solution = run(name, 0.01, 20, None, Record::Epochs);
            assert!((solution.theta[0] - w).abs() <= 1e-9 * w, "{name}: {}", solution.theta[0]);
            assert_eq!((solution.status, solution.epochs, solution.steps), (Status::MaxEpochs, 20, 20));
            assert_eq!(solution.history.loss.len(), 21);
        }
        let start = run("mse", 0.01, 1, None, Record::Epochs).history;
        assert_eq!((start.loss[0], start.grad_norm[0]), (30.0, 30.0));
    }

    #[test]
    fn single_rows_in_the_order_that_was_drawn() {
        let solution = run("half_mse", 0.1, 1, Some(1), Record::Steps(1));
        let mut expected = vec![0.0];
        for (x, y) in [(3.0, 6.0), (1.0, 2.0), (4.0, 8.0), (2.0, 4.0)] {
            let w: f64 = expected[expected.len() - 1];
            expected.push(w - 0.1 * (x * w - y) * x);
        }
        for (found, expected) in solution.history.coef.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-15);
        }
        assert_eq!(solution.history.epoch, [0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_run_that_diverges_returns_its_best() {
        let solution = run("mse", 0.2, 1000, None, Record::Epochs);
        assert_eq!(solution.status, Status::Diverged);
        assert_eq!((solution.theta[0], solution.loss), (0.0, 30.0));
        assert!(solution.epochs < 50);
    }
}
