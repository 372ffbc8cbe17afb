//! Online: descent by single rows as scikit-learn's SGD estimators do it, dense or sparse, on a loss of the table.
//!
//! Coefficients are a vector times a scale, so that l2 costs one multiplication a row; l1 is the cumulative penalty of
//! Tsuruoka, Tsujii and Ananiadou, "Stochastic Gradient Descent Training for L1-regularized Log-linear Models with
//! Cumulative Penalty" (2009); averages are kept as in Bottou, "Stochastic Gradient Descent Tricks" (2012). A row costs
//! as many operations as it has features. Sums go in order, so that coefficients equal scikit-learn's to rounding.

use crate::error::{Error, zeros};
use crate::kernels::{self, Eight, Element, Lines, Online, Queue, Set, TURN, Turn, set};
use crate::loss::{Loss, Rates, Told as Targets};
use crate::observe::{Observe, State, Watch};
use crate::pace::{Elastic, Pace, Rate};
use crate::relay::Relay;
use crate::row::{Norms, Row, Stored, Table};
use crate::shuffle::{Order, Orders};
use crate::source::{Chunk, Source};
use crate::verdict::{Astray, Told, Validation, astray};

/// What a run is asked for.
pub struct Config<'a> {
    pub loss: &'a dyn Loss,
    /// Whether passive-aggressive steps go the way of y, as they do for a margin, and not of y - raw.
    pub margin: bool,
    pub penalty: Elastic,
    pub rate: Rate,
    pub eta0: f64,
    pub fit_intercept: bool,
    pub max_iter: u64,
    pub tol: Option<f64>,
    pub patience: u64,
    /// Of a 31-bit generator that every epoch begins anew; None leaves the rows in order.
    pub seed: Option<u32>,
    /// Rows seen from which iterates are averaged; 0 never.
    pub average: f64,
    /// Of rows with y > 0, and of the others.
    pub class_weight: (f64, f64),
    /// Sparse rows as scikit-learn treats them: the intercept steps by a hundredth, and the objective that decides when
    /// to stop knows of the latest row's coefficients alone.
    pub as_scikit_learn: bool,
    /// Runs that end so many times above zero and their start went astray.
    pub astray: f64,
    /// At most; they change no bit.
    pub threads: usize,
}

/// Coefficients and intercept, the averages of both, and the number of the next row, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Iterate {
    pub w: Vec<f64>,
    pub b: f64,
    /// Empty if there is no average.
    pub mean_w: Vec<f64>,
    pub mean_b: f64,
    pub t: f64,
}

/// One entry an epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Epochs {
    /// The mean over the epoch's rows of their loss before their step, with the penalty.
    pub loss: Vec<f64>,
    /// Of the latest row.
    pub rate: Vec<f64>,
    pub seconds: Vec<f64>,
    /// On the validation rows; empty without.
    pub score: Vec<f64>,
}

/// What a run came to.
pub struct Outcome {
    pub end: Iterate,
    pub epochs: Epochs,
    /// With validation rows, the epoch that is returned, from 1: the best.
    pub best: Option<u64>,
    /// Whether everything is finite.
    pub finite: bool,
    /// Whether averages have begun, and are the answer.
    pub averaged: bool,
    pub astray: Option<Astray>,
}

/// Slopes are cut to this size.
const STEEPEST: f64 = 1e12;
/// A common scale of coefficients below this is multiplied out.
const SMALL: f64 = 1e-9;
/// Rows whose turns are prepared at once.
const STRETCH: usize = 256;

/// Minimises the mean loss and penalty over the training rows.
///
/// # Errors
/// What the observer answers, arrays that don't fit together, and lack of memory.
pub fn run<B: Stored>(
    table: &B,
    told: &Told,
    validation: Option<&Validation<B>>,
    config: &Config,
    start: Iterate,
    observe: &mut dyn Observe,
) -> Result<Outcome, Error> {
    check(table, told, validation, config, &start)?;
    let loud = observe.looks();
    let mut watch = Watch::new(observe);
    let train = table.n() - told.held.iter().filter(|&&held| held).count();
    let began = (start.w.iter().any(|&w| w != 0.0) || start.b != 0.0).then(|| (start.w.clone(), start.b));
    let mut orders = Orders::new(table.n(), config.seed)?;
    let mut run = Run::new(config, start)?;
    let relay = Relay::new(config.threads > 1);
    let mut epochs = Epochs::default();
    let mut stop = Stop { best: f64::INFINITY, idle: 0 };
    let mut best: Option<(u64, Iterate)> = None;
    let mut highest = f64::NEG_INFINITY;
    let mut finite = true;
    for epoch in 1..=config.max_iter {
        let (class_weight, pace) = (config.class_weight, run.pace());
        let source = Source { table, told, class_weight, pace, by_turns: run.by_turns, set: run.set };
        let loss = run.epoch(&source, &relay, orders.next(&mut watch)?, &mut watch)? / train.max(1) as f64;
        epochs.loss.push(loss);
        epochs.rate.push(run.eta);
        epochs.seconds.push(watch.seconds());
        finite = run.intercept.is_finite() && run.w.iter().all(|w| w.is_finite());
        if loud {
            let w = run.coefs();
            let state = State {
                epoch,
                step: run.t as u64 - 1,
                loss,
                coef: &w,
                intercept: &[run.intercept],
                rate: run.eta,
                grad_norm: f64::NAN,
            };
            if watch.epoch(&state)? {
                break;
            }
        }
        if !finite {
            break;
        }
        match validation {
            None => stop.look(loss, config.tol),
            Some(validation) => {
                let score = validation.score(&run.w, run.scale, run.intercept, &mut watch)?;
                epochs.score.push(score);
                stop.look(-score, config.tol);
                if score > highest {
                    highest = score;
                    best = Some((epoch, run.iterate()));
                }
            }
        }
        if stop.idle >= config.patience {
            if config.rate == Rate::Adaptive && run.eta > 1e-6 {
                run.eta /= 5.0;
                stop.idle = 0;
            } else {
                break;
            }
        }
    }
    let t = run.t;
    let (best, mut end) = match best {
        Some((epoch, iterate)) if finite => (Some(epoch), iterate),
        _ => (None, run.iterate()),
    };
    finite &= end.w.iter().chain(&end.mean_w).all(|w| w.is_finite()) && end.mean_b.is_finite();
    let averaged = config.average > 0.0 && config.average < end.t;
    let answer = if averaged { (&end.mean_w[..], end.mean_b) } else { (&end.w[..], end.b) };
    let began = began.as_ref().map(|(w, b)| (&w[..], *b));
    let running = epochs.loss.last().copied().filter(|_| finite);
    let limits = (config.astray, if config.margin { 1.0 } else { 0.0 }); // a perceptron has no loss at zero
    let astray = astray(table, told, config.loss, limits, running.unwrap_or(0.0), answer, began, &mut watch)?;
    end.t = t;
    Ok(Outcome { end, epochs, best, finite, averaged, astray })
}

fn check<B: Table>(
    table: &B,
    told: &Told,
    validation: Option<&Validation<B>>,
    config: &Config,
    start: &Iterate,
) -> Result<(), Error> {
    let (n, d) = (table.n(), table.d());
    let fits = |name: &str, length: usize, needed: usize| match length == needed {
        true => Ok(()),
        false => Err(Error::argument(name, format!("{length} entries"), format!("{needed} entries"))),
    };
    fits("y", told.y.len(), n)?;
    fits("coef_init", start.w.len(), d)?;
    if !told.weight.is_empty() {
        fits("sample_weight", told.weight.len(), n)?;
    }
    if !told.held.is_empty() {
        fits("held", told.held.len(), n)?;
    }
    if config.average > 0.0 {
        fits("the average", start.mean_w.len(), d)?;
    }
    let Some(validation) = validation else { return Ok(()) };
    let rows = validation.table.n();
    fits("the features of X_val", validation.table.d(), d)?;
    fits("y_val", validation.y.len(), rows)?;
    if !validation.weight.is_empty() {
        fits("sample_weight", validation.weight.len(), rows)?;
    }
    match validation.rows.iter().find(|&&i| i >= rows) {
        None => Ok(()),
        Some(i) => Err(Error::argument("validation rows", i, format!("below {rows}"))),
    }
}

/// When enough is enough.
struct Stop {
    best: f64,
    /// Epochs in a row without improvement.
    idle: u64,
}

impl Stop {
    /// Counts an epoch that ends with `value`: idle unless below the best by `tol`. NaN is no reason to stop.
    fn look(&mut self, value: f64, tol: Option<f64>) {
        let idle = tol.is_some_and(|tol| value > self.best - tol);
        self.idle = if idle { self.idle + 1 } else { 0 };
        self.best = least(self.best, value);
    }
}

/// A run under way: coefficients are `scale * w`, averages `(mean_w + share * w) / of`.
struct Run<'a> {
    config: &'a Config<'a>,
    w: Vec<f64>,
    scale: f64,
    intercept: f64,
    mean_w: Vec<f64>,
    mean_intercept: f64,
    share: f64,
    of: f64,
    /// l1 that each coordinate has had to pay so far, and what each has paid.
    due: f64,
    paid: Vec<f64>,
    /// Of all coefficients now, and as the objective has them: after the latest step, before l1 was paid.
    norms: Norms,
    told: Norms,
    eta: f64,
    /// t0 of `Rate::Optimal`
    offset: f64,
    t: f64,
    set: Set,
    /// Whether rows may take turns: whether steps wait for one product each, and nothing else is done with a row.
    by_turns: bool,
    /// Of the next rows: the scale before each of them and after the last.
    scales: Vec<f64>,
    /// Of the latest rows: what they were predicted to be, their steps against the gradient, and |x|^2.
    raw: Vec<f64>,
    steps: Vec<f64>,
    squares: Vec<f64>,
    /// Room for w.
    near: Vec<Eight>,
}

impl<'a> Run<'a> {
    fn new(config: &'a Config<'a>, start: Iterate) -> Result<Self, Error> {
        let d = start.w.len();
        let offset = match config.rate {
            Rate::Optimal => {
                let typical = (1.0 / config.penalty.alpha.sqrt()).sqrt();
                let first = typical / config.loss.gradient(-typical, 1.0).max(1.0);
                1.0 / (first * config.penalty.alpha)
            }
            _ => 0.0,
        };
        let (norms, mut near) = (Norms::of(&start.w), Vec::new());
        kernels::room_for(d, &mut near)?;
        Ok(Run {
            config,
            scale: 1.0,
            intercept: start.b,
            mean_w: start.mean_w,
            mean_intercept: start.mean_b,
            share: 0.0,
            of: 1.0,
            due: 0.0,
            paid: if config.penalty.l1 { zeros(d, "the penalty")? } else { Vec::new() },
            norms,
            told: norms,
            eta: config.eta0,
            offset,
            t: start.t,
            set: set()?,
            by_turns: !config.penalty.l1 && config.average == 0.0 && !matches!(config.rate, Rate::Pa1 | Rate::Pa2),
            scales: Vec::new(),
            raw: Vec::new(),
            steps: Vec::new(),
            squares: Vec::new(),
            near,
            w: start.w,
        })
    }

    /// How rates go from here on.
    fn pace(&self) -> Pace {
        let Config { rate, penalty, eta0, .. } = *self.config;
        Pace { rate, penalty, eta0, eta: self.eta, offset: self.offset, t: self.t }
    }

    /// One pass over the training rows; the sum of their objectives. The order is kept.
    fn epoch<B: Stored>(
        &mut self,
        source: &Source<B>,
        relay: &Relay<Chunk<B::Together>>,
        (order, kept): (Order, &mut [u32]),
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        let Norms { square, absolute } = Norms::of(&self.w); // what is kept up row by row gathers rounding
        self.norms = Norms { square: square * self.scale * self.scale, absolute: absolute * self.scale };
        let (n, size, mut sum, mut from) = (source.table.n(), source.size(), 0.0, 0);
        relay.pass(
            n.div_ceil(size),
            |_| {},
            |k, chunk| source.bring(order, k * size..n.min((k + 1) * size), chunk),
            |chunk| {
                if let Some(kept) = kept.get_mut(from..from + chunk.order.len()) {
                    kept.copy_from_slice(&chunk.order);
                }
                from += chunk.order.len();
                if chunk.rates.is_empty() {
                    let (count, t) = (chunk.y.len(), self.t);
                    source.pace.look_ahead(self.set, t, count, &mut chunk.rates, &mut chunk.left);
                }
                sum += self.chunk(chunk, watch)?;
                Ok(true)
            },
        )?;
        Ok(sum)
    }

    /// Steps by the rows of a chunk; the sum of their objectives.
    fn chunk<B: Table>(&mut self, chunk: &Chunk<B>, watch: &mut Watch) -> Result<f64, Error> {
        let Chunk { table, y, weight, rates, left, .. } = chunk;
        let (mut at, mut sum, by_turns) = (0, 0.0, self.by_turns && table.lines(0..0).is_some());
        while at < y.len() {
            let (most, told) =
                (STRETCH.min(y.len() - at), Targets { y: &y[at..], weight: weight.get(at..).unwrap_or(&[]) });
            let rows = |count: usize| at..at + count;
            let aligned = table.bound().is_none() || at.is_multiple_of(TURN);
            let left_at = |count| left.get(rows(count)).unwrap_or(&[]);
            let count = if by_turns && aligned { self.scales(left_at(most), most) } else { 0 };
            self.raw.clear();
            let done = match table.lines(rows(count)) {
                Some(lines) if count > 0 => {
                    let queue = table.bound().and_then(|bound| bound.turns(at, count));
                    sum += self.turns((queue, lines), told, &rates[rows(count)], left_at(count));
                    watch.tick(count * (table.d() + 1))?;
                    count
                }
                _ => {
                    // those that can't take turns, or before which the scale has to be multiplied out
                    let alone = if by_turns { 1 } else { most };
                    for k in rows(alone) {
                        let row = table.row(k);
                        watch.tick(row.len() + 1)?;
                        sum += self.row(row, y[k], weight.get(k).copied().unwrap_or(1.0), rates[k]);
                    }
                    alone
                }
            };
            sum += self.config.loss.sum(self.set, &mut self.raw, Targets { weight: &[], ..told });
            at += done;
        }
        Ok(sum)
    }

    /// Sets the scales of the next rows, up to one before which the scale has to be multiplied out, from what l2 leaves
    /// at each; how many these are.
    fn scales(&mut self, left: &[f64], most: usize) -> usize {
        let (scales, mut last) = (&mut self.scales, self.scale);
        scales.clear();
        scales.push(last);
        scales.extend(left.iter().map(|left| {
            last *= left;
            last
        }));
        scales.resize(most + 1, last);
        if last >= SMALL { most } else { scales[1..].iter().position(|&scale| scale < SMALL).unwrap_or(most) }
    }

    /// Steps by rows that take turns; the sum of the penalties before each.
    fn turns(&mut self, (queue, lines): (Option<Queue>, Lines), told: Targets, rates: &[f64], left: &[f64]) -> f64 {
        let Config { loss, penalty, fit_intercept, .. } = *self.config;
        let (set, count, before) = (self.set, rates.len(), self.intercept);
        let square = self.scale * self.scale * Norms::of(&self.w).square;
        let (raw, steps, squares) = (&mut self.raw, &mut self.steps, &mut self.squares);
        for room in [&mut *raw, steps, squares] {
            room.resize(count, 0.0);
        }
        let scales = if penalty.l2 || self.scale != 1.0 { &self.scales[..] } else { &[] };
        let b = std::slice::from_mut(&mut self.intercept);
        let b = if fit_intercept { b } else { &mut [] };
        let line = Online { w: &mut self.w, b, squares: penalty.l2, scales, tail: &mut [] };
        let rates_of = Rates { each: rates, steepest: STEEPEST, implicit: 0.0 };
        match queue {
            Some(queue) => {
                let each = &mut |turn: &mut Turn| {
                    loss.steps(set, turn, told.from(turn.first), rates_of.from(turn.first));
                    turn.keep(&turn.raw, raw);
                    if penalty.l2 {
                        turn.keep(&turn.steps, steps);
                        turn.keep(&turn.square, squares);
                    }
                };
                kernels::in_turns(set, queue, line, each);
            }
            None => {
                let each = &mut |i: usize, found: f64, square: f64| {
                    (raw[i], squares[i]) = (found, square);
                    steps[i] = loss.step((found, square), i, told, rates_of);
                    steps[i]
                };
                kernels::online(set, lines, line, &mut self.near, each);
            }
        }
        let sum = if penalty.l2 { self.penalties(left, square, before) } else { 0.0 };
        self.scale = self.scales[count];
        self.eta = rates[count - 1];
        self.t += count as f64;
        sum
    }

    /// The sum of the penalties before each of the rows that just took their turns, when the intercept was `b` and the
    /// sum of squares |w|^2 before the first of them. |l w - c x|^2 = l^2 |w|^2 - 2 l c x . w + c^2 |x|^2 is what is
    /// next, where l is what l2 leaves of w.
    fn penalties(&mut self, left: &[f64], mut square: f64, mut b: f64) -> f64 {
        let (mut sum, one) = (0.0, if self.config.fit_intercept { 1.0 } else { 0.0 });
        let rows = self.raw.iter().zip(&self.steps).zip(&self.squares).zip(left);
        for (((raw, step), x), left) in rows {
            sum += square;
            let change = step * (step * (x - one) - 2.0 * left * (raw - b)); // beside the sum that waits for the last
            square = left * left * square + change;
            b -= one * step;
        }
        self.norms.square = most(0.0, square);
        self.told = self.norms;
        self.config.penalty.alpha * (1.0 - self.config.penalty.l1_ratio) * 0.5 * sum
    }

    /// A step by one row; its penalty before, and with passive-aggressive rates its loss, too.
    #[inline]
    fn row<T: Element, R: Row<T>>(&mut self, x: R, y: f64, weight: f64, eta: f64) -> f64 {
        let Config { loss, rate, penalty, eta0, .. } = *self.config;
        let raw = x.dot(&self.w) * self.scale + self.intercept;
        self.raw.push(raw);
        self.eta = eta;
        let mut objective = 0.0;
        let aggressive = matches!(rate, Rate::Pa1 | Rate::Pa2);
        if (penalty.l2 || penalty.l1) && !aggressive {
            let Norms { square, absolute } = self.told;
            objective += penalty.alpha * ((1.0 - penalty.l1_ratio) * 0.5 * square + penalty.l1_ratio * absolute);
        }
        let mut update = if aggressive {
            let (square, value) = (x.square(), loss.value(raw, y));
            let size = match rate {
                Rate::Pa1 if square == 0.0 => return objective,
                Rate::Pa1 => least(eta0, value / square),
                _ => value / (square + 0.5 / eta0),
            };
            match self.config.margin {
                true => size * y,
                false if y - raw < 0.0 => -size,
                false => size,
            }
        } else {
            -self.eta * loss.gradient(raw, y).clamp(-STEEPEST, STEEPEST)
        };
        update *= weight;
        if penalty.l2 {
            self.shrink(self.pace().left(self.eta));
        }
        if update != 0.0 {
            self.step(x, update);
            if self.config.fit_intercept {
                let slow = !R::FULL && self.config.as_scikit_learn;
                self.intercept += update * if slow { 0.01 } else { 1.0 };
            }
        }
        if 0.0 < self.config.average && self.config.average <= self.t {
            self.take_into_average(x, update);
        }
        if penalty.l1 {
            self.due += penalty.l1_ratio * self.eta * penalty.alpha;
            self.pay(x);
        }
        self.t += 1.0;
        objective
    }

    /// w *= c, through the scale.
    #[inline]
    fn shrink(&mut self, c: f64) {
        self.scale *= c;
        for norms in [&mut self.norms, &mut self.told] {
            norms.square *= c * c;
            norms.absolute *= c;
        }
        if self.scale < SMALL {
            self.multiply_out();
        }
    }

    /// Makes the scale 1.
    fn multiply_out(&mut self) {
        multiply_out(&mut self.w, self.scale, &mut self.mean_w, self.share, self.of);
        (self.scale, self.share, self.of) = (1.0, 0.0, 1.0);
    }

    /// w += update x
    #[inline]
    fn step<T: Element, R: Row<T>>(&mut self, x: R, update: f64) {
        let scale = self.scale;
        let c = update / scale;
        let scaled = |norms: Norms| Norms { square: norms.square * (scale * scale), absolute: norms.absolute * scale };
        if !(self.config.penalty.l1 || self.config.penalty.l2) {
            x.add(&mut self.w, c); // without norms, of which nobody asks
            return;
        }
        if R::FULL || self.config.as_scikit_learn {
            self.told = scaled(x.add(&mut self.w, c));
            return;
        }
        let l1 = self.config.penalty.l1;
        let change = if l1 { x.shift::<true>(&mut self.w, c) } else { x.shift::<false>(&mut self.w, c) };
        self.norms = add(self.norms, scaled(change));
        self.told = self.norms;
    }

    #[inline]
    fn take_into_average<T: Element, R: Row<T>>(&mut self, x: R, update: f64) {
        let number = self.t - self.config.average + 1.0;
        let share = 1.0 / number;
        let (before, c) = (self.share, -update / self.scale);
        let mean = &mut self.mean_w;
        x.each(|j, x| mean[j] += before * x.into() * c);
        if number > 1.0 {
            self.of /= 1.0 - share;
        }
        self.share += share * self.of * self.scale;
        self.mean_intercept += (self.intercept - self.mean_intercept) / number;
    }

    /// Each feature of the row pays the l1 that it owes, at most down to 0.
    #[inline]
    fn pay<T: Element, R: Row<T>>(&mut self, x: R) {
        let (scale, due) = (self.scale, self.due);
        let (w, paid) = (&mut self.w, &mut self.paid);
        let mut change = Norms::default();
        x.each(|j, _| {
            let (stored, already) = (w[j], paid[j]);
            let left = if scale * stored > 0.0 {
                most(0.0, stored - (due + already) / scale)
            } else if scale * stored < 0.0 {
                least(0.0, stored + (due - already) / scale)
            } else {
                return;
            };
            w[j] = left;
            paid[j] = already + scale * (left - stored);
            change.square += left * left - stored * stored;
            change.absolute += left.abs() - stored.abs();
        });
        if !R::FULL {
            change = Norms { square: change.square * scale * scale, absolute: change.absolute * scale };
            self.norms = add(self.norms, change);
        }
    }

    /// The coefficients, scale multiplied in.
    fn coefs(&self) -> Vec<f64> {
        self.w.iter().map(|w| w * self.scale).collect()
    }

    /// Where the run is.
    fn iterate(&self) -> Iterate {
        let mut end = Iterate {
            w: self.w.clone(),
            b: self.intercept,
            mean_w: self.mean_w.clone(),
            mean_b: self.mean_intercept,
            t: self.t,
        };
        multiply_out(&mut end.w, self.scale, &mut end.mean_w, self.share, self.of);
        end
    }
}

/// Coefficients without their scale, and averages without their shares.
fn multiply_out(w: &mut [f64], scale: f64, mean_w: &mut [f64], share: f64, of: f64) {
    for (mean, w) in mean_w.iter_mut().zip(&*w) {
        *mean = (1.0 / of) * (*mean + share * w);
    }
    w.iter_mut().for_each(|w| *w *= scale);
}

fn add(a: Norms, b: Norms) -> Norms {
    // what is left of a sum from which as much was taken away may be rounding below 0
    Norms { square: most(0.0, a.square + b.square), absolute: most(0.0, a.absolute + b.absolute) }
}

/// The smaller; `b` only if it is, so that a NaN in it is left alone.
fn least(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

fn most(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::loss;
    use crate::observe::{Alone, Reached};
    use crate::row::{Csr, Grid};

    fn asked(loss: &dyn Loss) -> Config<'_> {
        Config {
            loss,
            margin: false,
            penalty: Elastic { alpha: 0.01, l1_ratio: 0.0, l2: true, l1: false },
            rate: Rate::InvScaling { power: 0.25 },
            eta0: 0.05,
            fit_intercept: true,
            max_iter: 20,
            tol: None,
            patience: 5,
            seed: Some(7),
            average: 0.0,
            class_weight: (1.0, 1.0),
            as_scikit_learn: false,
            astray: 10.0,
            threads: 2,
        }
    }

    fn start(d: usize) -> Iterate {
        Iterate { w: vec![0.0; d], b: 0.0, mean_w: vec![0.0; d], mean_b: 0.0, t: 1.0 }
    }

    /// Rows of 4 numbers, many of them 0, in both forms, and targets.
    fn rows() -> (Vec<f64>, [Vec<i32>; 2], Vec<f64>, Vec<f64>) {
        let x: Vec<f64> = (0..200).map(|i| if i % 3 == 0 { (i as f64 * 0.7).sin() } else { 0.0 }).collect();
        let y: Vec<f64> = x.chunks(4).map(|x| 1.0 + 2.0 * x[0] - x[3]).collect();
        let (mut data, mut indices, mut indptr) = (vec![], vec![], vec![0]);
        for row in x.chunks(4) {
            for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                data.push(x);
                indices.push(j as i32);
            }
            indptr.push(data.len() as i32);
        }
        (data, [indices, indptr], x, y)
    }

    #[test]
    fn sparse_rows_descend_as_dense_ones_do() {
        let (data, [indices, indptr], x, y) = rows();
        let (half, _) = loss("half_mse", &[]).unwrap();
        for average in [0.0, 1.0, 30.0] {
            let config = Config { average, tol: Some(1e-3), ..asked(&*half) };
            let told = Told { y: &y, weight: &[], held: &[] };
            let dense = run(&Grid::new(&x, 4).unwrap(), &told, None, &config, start(4), &mut Alone).unwrap();
            let csr = Csr::new(&data, &indices, &indptr, 4).unwrap();
            let sparse = run(&csr, &told, None, &config, start(4), &mut Alone).unwrap();
            assert_eq!((dense.epochs.loss.len(), dense.averaged), (sparse.epochs.loss.len(), average > 0.0));
            for (a, b) in dense.end.w.iter().zip(&sparse.end.w).chain([(&dense.end.b, &sparse.end.b)]) {
                assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{a} {b}");
            }
            for (a, b) in dense.epochs.loss.iter().zip(&sparse.epochs.loss) {
                assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{a} {b}");
            }
        }
    }

    /// Wants out at once: at the end of an epoch, if it looks.
    struct Impatient(bool);

    impl Observe for Impatient {
        fn look_up(&mut self, _reached: Reached) -> Result<(), Error> {
            Err(Error::Interrupted)
        }

        fn epoch(&mut self, _state: &State) -> Result<bool, Error> {
            Ok(true)
        }

        fn looks(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn onlookers_end_a_run_and_arrays_must_fit() {
        let (.., x, y) = rows();
        let (half, _) = loss("half_mse", &[]).unwrap();
        let grid = Grid::new(&x, 4).unwrap();
        let told = Told { y: &y, weight: &[], held: &[] };
        let endless = Config { max_iter: u64::MAX, ..asked(&*half) };
        assert_eq!(run(&grid, &told, None, &endless, start(4), &mut Impatient(false)).err(), Some(Error::Interrupted));
        let config = asked(&*half);
        assert_eq!(run(&grid, &told, None, &config, start(4), &mut Impatient(true)).unwrap().epochs.loss.len(), 1);
        let short = Told { y: &y[1..], ..told };
        let light = Told { weight: &y[1..], ..told };
        let kept = Told { held: &[true], ..told };
        for (told, begin) in [(short, start(4)), (light, start(4)), (kept, start(4)), (told, start(3))] {
            assert!(run(&grid, &told, None, &config, begin, &mut Alone).is_err());
        }
    }
}
