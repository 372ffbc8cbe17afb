//! Solver: the loop. Gradient of a batch, rate, step; a record, a look at the stop rules; again.

use crate::brought::{self, Brought, Stretch};
use crate::data::{Dense, Pick, Problem};
use crate::error::Error;
use crate::history::{History, Record};
use crate::kernels::{Bound, Queue, TURN};
use crate::lazy::{Lazy, Turns};
use crate::objective::{Batches, Few, InTurn, Objective, Scratch};
use crate::observe::{LookUp, Observe, State, Watch};
use crate::optimizer::Optimizer;
use crate::sampler::{Permute, Sampler, Shuffle};
use crate::schedule::{Schedule, Time};
use crate::stop::{Bounds, Halving, Plateau, Status};
use crate::tail::Tail;
use crate::threads::beside;

/// Single rows, or batches, that are stepped by in one pass: few enough that memory for later ones comes in meanwhile;
/// and multiplications of such a pass, few enough that the clock is looked at in time.
const IN_TURN: usize = 64;
const WORK: usize = 1 << 18;
/// Features for each output but the first up to which single rows with several outputs are stepped by in turn: beyond,
/// the products of rows cost more than they save.
const WIDE: usize = 512;

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

/// How batches are stepped by.
struct Way<'a> {
    size: usize,
    lazy: Option<Lazy<'a>>,
    /// Single rows with one output, and with several; few rows without a gradient that anybody sees.
    by_rows: bool,
    in_turn: bool,
    along: bool,
    /// Several batches at once, with one output.
    together: bool,
}

/// Of an epoch so far: its rows, the sum of `s_i loss_i` as they found it, and of the penalties.
#[derive(Default)]
struct Sums {
    rows: usize,
    loss: f64,
    penalty: f64,
    /// Whether all losses are finite.
    sound: bool,
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

    /// Many steps an epoch, each along the gradient of a few rows.
    fn batches(&mut self, size: usize, sampler: &mut Sampler) -> Result<Status, Error> {
        let Objective { problem, set, threads, .. } = *self.visited;
        let lazy = Lazy::of(self.visited, self.config.optimizer.plain());
        let by_rows = size == 1 && lazy.is_none() && self.can_step_by_rows();
        let along = lazy.is_none() && !by_rows && self.can_step_along(size);
        let in_turn = along && size == 1 && problem.rows.d() <= WIDE * (problem.outputs - 1);
        let together = lazy.is_none() && !by_rows && self.can_descend(size);
        let mut way = Way { size, lazy, by_rows, along, in_turn, together };
        let squares = self.config.implicit.is_some();
        let bound = ((by_rows || in_turn) && Bound::takes(set, problem.d, problem.outputs)).then_some(squares);
        let brought = match self.config.shuffle {
            Shuffle::No => None,
            _ => Brought::worth(problem, size, bound, set, threads),
        };
        let mut plateau = self.plateau();
        if !self.bounds.hold(self.loss) {
            return Ok(Status::Diverged);
        }
        while self.epochs < self.config.epochs {
            let ((order, permute), mut sums) = (sampler.epoch()?, Sums { sound: true, ..Sums::default() });
            let permute = permute.filter(|_| threads > 1 && self.epochs + 1 < self.config.epochs);
            let next = |look_up: &mut LookUp| {
                if let Some(permute) = permute {
                    permute.ahead(look_up);
                }
            };
            match &brought {
                Some(brought) => brought.epoch(&order, next, |stretch| {
                    self.stretch(&mut way, stretch, &mut sums)?;
                    Ok(sums.sound)
                })?,
                None => {
                    let all = Stretch { problem, rows: order, from: 0, bound: None };
                    beside(permute.is_some(), next, || self.stretch(&mut way, all, &mut sums))?;
                }
            }
            if !sums.sound {
                return Ok(Status::Diverged);
            }
            self.tail.end_epoch();
            let loss = self.objective.reduce(sums.loss, sums.rows) + sums.penalty / sums.rows as f64;
            let (shown, val_loss) = (self.exact_or(loss)?, self.validate()?);
            let stop = self.report(shown, val_loss, self.config.record == Record::Epochs, true)?;
            if !self.bounds.hold(loss) || self.theta.iter().any(|theta| !theta.is_finite()) {
                return Ok(Status::Diverged);
            }
            self.keep_best(val_loss.unwrap_or(loss));
            if plateau.as_mut().is_some_and(|plateau| plateau.reached(val_loss.unwrap_or(loss))) {
                return Ok(Status::Converged);
            }
            self.halve(loss)?;
            if stop {
                return Ok(Status::Stopped);
            }
        }
        Ok(Status::MaxEpochs)
    }

    /// Steps by the batches of a stretch, up to a loss that is not finite.
    fn stretch(&mut self, way: &mut Way, stretch: Stretch, sums: &mut Sums) -> Result<(), Error> {
        let of = &Objective { problem: stretch.problem, ..*self.visited };
        while sums.sound && sums.rows < stretch.end() {
            if !self.several(way, of, &stretch, sums)? {
                self.single(way, of, &stretch.some(sums.rows, way.size), sums)?;
            }
        }
        Ok(())
    }

    /// The next steps as long as nobody looks, as many at once as there is a way for; whether there is one, and all
    /// losses are finite.
    fn several(&mut self, way: &mut Way, of: &Objective, stretch: &Stretch, sums: &mut Sums) -> Result<bool, Error> {
        let (size, seen) = (way.size, sums.rows);
        let (n, left) = (of.problem.n, stretch.end() - seen);
        let unseen = self.steps_nobody_sees((n - seen).div_ceil(size));
        let turns = |count: usize| stretch.bound.and_then(|bound| bound.turns(seen - stretch.from, count));
        let mut count = 0;
        if let Some(lazy) = &mut way.lazy {
            count = self.step_lazily(lazy, &stretch.some(seen, left), size, (&mut sums.loss, &mut sums.penalty))?;
        } else if way.by_rows {
            let rows = stretch.some(seen, unseen.min(IN_TURN));
            let done = !rows.is_empty() && self.step_by_rows(of, &rows, turns(rows.len()), &mut sums.loss, false)?;
            count = if done { rows.len() } else { 0 };
        } else if way.together {
            let most = (WORK / (size * of.problem.d)).clamp(1, IN_TURN);
            let rows = stretch.some(seen, unseen.min(left / size).min(most) * size);
            let done = !rows.is_empty() && self.descend(of, &rows, size, &mut sums.loss)?;
            count = if done { rows.len() } else { 0 };
        } else if way.along {
            let rows = stretch.some(seen, unseen.min(TURN));
            if way.in_turn && rows.len() > 1 && self.step_in_turn(of, &rows, turns(rows.len()), &mut sums.loss)? {
                count = rows.len();
            } else if unseen > 0 {
                let (batch, found) = (stretch.some(seen, size), &mut sums.loss);
                let sum = self.step_along(of, &batch)?;
                (count, *found) = if sum.is_finite() { (batch.len(), *found + sum) } else { (0, *found) };
            }
        }
        sums.rows += count;
        Ok(count > 0)
    }

    /// The next step, with a gradient that may be looked at.
    fn single(&mut self, way: &Way, of: &Objective, batch: &Pick, sums: &mut Sums) -> Result<(), Error> {
        let (n, wanted) = (of.problem.n, self.config.record.wants_step(self.steps + 1));
        let (batch_sum, batch_penalty) = self.gradient(of, batch)?;
        if !self.loss.is_finite() {
            self.measure();
            sums.sound = false;
            return Ok(());
        }
        sums.rows += batch.len();
        sums.penalty += batch.len() as f64 * batch_penalty;
        if wanted || sums.rows == n {
            self.measure();
        }
        if way.by_rows {
            self.step_by_rows(of, batch, None, &mut sums.loss, true)?;
        } else if way.along {
            sums.loss += self.step_along(of, batch)?;
        } else {
            sums.loss += batch_sum;
            self.step(of, batch.first());
            self.tail.add(&self.theta);
        }
        self.epochs += u64::from(sums.rows == n);
        if wanted {
            let (shown, val_loss) = (self.exact_or(self.loss)?, self.validate()?);
            self.report(shown, val_loss, true, false)?;
        }
        Ok(())
    }

    /// Whether single rows can be stepped by in one pass, row after row.
    fn can_step_by_rows(&self) -> bool {
        let Objective { problem, penalty, .. } = self.objective;
        problem.outputs == 1 && penalty.is_smooth() && penalty.l2 == 0.0 && self.config.optimizer.plain()
    }

    /// Whether steps by batches of this size need no gradient of their own: those by few rows with several outputs.
    fn can_step_along(&self, size: usize) -> bool {
        let Objective { problem, penalty, .. } = self.objective;
        let plain = self.config.optimizer.plain() && self.config.implicit.is_none();
        size <= problem.block && problem.outputs > 1 && penalty.is_smooth() && penalty.l2 == 0.0 && plain
    }

    /// Whether batches of this size need no gradient of their own where there is one output.
    fn can_descend(&self, size: usize) -> bool {
        let Objective { problem, penalty, .. } = self.objective;
        let plain = self.config.optimizer.plain() && self.config.implicit.is_none();
        let dense = problem.d > 1 && problem.rows.sparse().is_none();
        dense && size <= problem.block && problem.outputs == 1 && penalty.is_smooth() && penalty.l2 == 0.0 && plain
    }

    /// Steps by batches in turn, their losses added to `sum`; `false`, and nothing has changed, where these aren't
    /// finite.
    fn descend(&mut self, of: &Objective, rows: &Pick, size: usize, sum: &mut f64) -> Result<bool, Error> {
        let (mut rates, count) = ([0.0; IN_TURN], rows.len() / size);
        let rates = &mut rates[..count];
        self.remember();
        let time = Time { k: self.steps + 1, finished: self.epochs, last: self.last };
        self.config.schedule.rates(self.lr, time, rates);
        let batches = Batches { size, rates, tail: self.tail.make_room(0) };
        let found = of.descend(rows, &mut self.theta, batches, *sum, &mut self.scratch);
        if !found.is_finite() {
            self.go_back();
            return Ok(false);
        }
        *sum = found;
        self.tail.make_room(count as u64);
        self.steps += count as u64;
        self.rate = rates[count - 1];
        self.watch.tick(2 * rows.len() * self.theta.len())?;
        Ok(true)
    }

    /// Keeps the iterate, and the running sum of its tail, for `go_back`.
    fn remember(&mut self) {
        self.before.copy_from_slice(&self.theta);
        self.before_tail.clear();
        self.before_tail.extend_from_slice(self.tail.make_room(0));
    }

    fn go_back(&mut self) {
        self.theta.copy_from_slice(&self.before);
        self.tail.make_room(0).copy_from_slice(&self.before_tail);
    }

    /// A step along the gradient of such a batch; returns the sum of its losses, without a step where it isn't finite.
    fn step_along(&mut self, of: &Objective, batch: &Pick) -> Result<f64, Error> {
        let time = Time { k: self.steps + 1, finished: self.epochs, last: self.last };
        let rate = self.config.schedule.rate(self.lr, time);
        let sum = of.step_along(batch, &mut self.theta, rate, &mut self.scratch);
        if sum.is_finite() {
            (self.steps, self.rate) = (time.k, rate);
            self.tail.add(&self.theta);
            self.watch.tick(2 * batch.len() * self.theta.len())?;
        }
        Ok(sum)
    }

    /// Steps by single rows with several outputs, their losses added to `sum`; `false`, and nothing has changed, where
    /// these aren't finite.
    fn step_in_turn(
        &mut self,
        of: &Objective,
        rows: &Pick,
        bound: Option<Queue>,
        sum: &mut f64,
    ) -> Result<bool, Error> {
        let (mut rates, count) = ([0.0; TURN], rows.len());
        let rates = &mut rates[..count];
        let time = Time { k: self.steps + 1, finished: self.epochs, last: self.last };
        self.config.schedule.rates(self.lr, time, rates);
        let turn = InTurn { bound, rates, implicit: 0.0, tail: self.tail.make_room(0) };
        let found = of.step_in_turn(rows, &mut self.theta, turn, &mut self.scratch)?;
        if !found.is_finite() {
            return Ok(false);
        }
        *sum += found;
        self.tail.make_room(count as u64);
        self.steps += count as u64;
        self.rate = rates[count - 1];
        self.watch.tick(4 * count * (self.theta.len() + count * self.objective.problem.rows.d()))?;
        Ok(true)
    }

    /// How many of the next steps, `left` in this epoch, can go by unmeasured and unrecorded.
    fn steps_nobody_sees(&self, left: usize) -> usize {
        let until_record = match self.config.record {
            Record::Steps(every) => every - 1 - self.steps % every,
            _ => u64::MAX,
        };
        (left - 1).min(usize::try_from(until_record).unwrap_or(usize::MAX))
    }

    /// Steps by the next batches of `size` rows as long as nobody looks; how many rows that took. Adds the sum of
    /// `s_i loss_i`, and of the penalties that the rows found.
    fn step_lazily(
        &mut self,
        lazy: &mut Lazy,
        order: &Pick,
        size: usize,
        (sum, penalty): (&mut f64, &mut f64),
    ) -> Result<usize, Error> {
        let count = self.steps_nobody_sees(order.len().div_ceil(size));
        if count == 0 {
            return Ok(0);
        }
        let Config { schedule, implicit, .. } = &*self.config;
        let (lr, steps, finished, last) = (self.lr, self.steps, self.epochs, self.last);
        let turns = Turns {
            theta: &mut self.theta,
            tail: self.tail.make_room(0),
            implicit: *implicit,
            rate: &|turn| schedule.rate(lr, Time { k: steps + turn + 1, finished, last }),
            size,
            count,
        };
        let done = lazy.run(order, turns, &mut self.watch)?;
        self.tail.make_room(done.count as u64);
        self.steps += done.count as u64;
        self.rate = if done.count > 0 { done.rate } else { self.rate };
        *sum += done.sum;
        *penalty += done.penalty;
        Ok(done.count * size)
    }

    /// A step by each of a few rows in turn, losses added to `sum`. Where one of these isn't finite `false`, and
    /// nothing has changed, unless the rows were `seen` to be fine.
    fn step_by_rows(
        &mut self,
        of: &Objective,
        rows: &Pick,
        bound: Option<Queue>,
        sum: &mut f64,
        seen: bool,
    ) -> Result<bool, Error> {
        self.remember();
        let Config { schedule, implicit, .. } = &mut *self.config;
        let (count, factor) = (rows.len(), self.objective.factor(1));
        let mut rates = [0.0; IN_TURN];
        let rates = &mut rates[..count];
        schedule.rates(self.lr, Time { k: self.steps + 1, finished: self.epochs, last: self.last }, rates);
        let rate = rates[count - 1];
        rates.iter_mut().for_each(|rate| *rate *= factor);
        let turn = InTurn { bound, rates, implicit: implicit.unwrap_or(0.0), tail: self.tail.make_room(0) };
        let found = of.online(rows, &mut self.theta, turn, &mut self.scratch)?;
        if !found.is_finite() && !seen {
            self.go_back();
            return Ok(false);
        }
        *sum += found;
        self.tail.make_room(count as u64);
        self.steps += count as u64;
        self.rate = rate;
        self.watch.tick(2 * count * self.theta.len())?;
        Ok(true)
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
