//! Batches: the solver's steps by few rows, several of them at once where nobody looks.

use super::{Config, Run};
use crate::brought::{Brought, Stretch};
use crate::data::Pick;
use crate::error::Error;
use crate::history::Record;
use crate::kernels::{Bound, Queue, TURN};
use crate::lazy::{Lazy, Turns};
use crate::objective::{Batches, InTurn, Objective};
use crate::observe::LookUp;
use crate::sampler::{Sampler, Shuffle};
use crate::schedule::Time;
use crate::stop::Status;
use crate::threads::beside;

/// Single rows, or batches, that are stepped by in one pass: few enough that memory for later ones comes in meanwhile;
/// and multiplications of such a pass, few enough that the clock is looked at in time.
const IN_TURN: usize = 64;
const WORK: usize = 1 << 18;
/// Features for each output but the first up to which single rows with several outputs are stepped by in turn: beyond,
/// the products of rows cost more than they save.
const WIDE: usize = 512;

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

impl Run<'_> {
    /// Many steps an epoch, each along the gradient of a few rows.
    pub(super) fn batches(&mut self, size: usize, sampler: &mut Sampler) -> Result<Status, Error> {
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
            _ => Brought::worth(problem, size, (bound, together), set, threads),
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
}
