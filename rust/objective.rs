//! Objective: what a run minimises, the mean (or sum) of the loss over rows plus the penalty.
//! `sum_i s_i loss(x_i . w + b, y_i) / sum_i s_i + l1 |w|_1 + l2/2 |w|^2`

use crate::data::{Pick, Problem, Rows, block_size};
use crate::error::{Error, zeros};
use crate::kernels::{self, Bound, Columns, Downhill, Eight, Lines, Moves, Online, Queue, Set, Stored, TURN, Turn};
use crate::loss::{Loss, Rates, Reduction, Told};
use crate::observe::Watch;
use crate::penalty::Penalty;
use crate::sparse::Sparse;
use crate::threads::{are_one, each_part, parts};

/// A problem, a loss and a penalty. Parameters `theta` are one vector: the coefficients (outputs, d), then the
/// intercepts.
#[derive(Clone, Copy)]
pub struct Objective<'a> {
    pub problem: &'a Problem<'a>,
    pub loss: &'a dyn Loss,
    pub reduction: Reduction,
    pub penalty: Penalty<'a>,
    pub fit_intercept: bool,
    /// For passes over many rows, at most; they change no bit.
    pub threads: usize,
    pub set: Set,
}

/// Sparse rows whose slopes are asked for at once, and how many ahead memory is asked for.
const TOGETHER: usize = 64;
const AHEAD: usize = 8;

/// How rows are stepped by in turn, and what is kept of it.
pub struct InTurn<'a> {
    /// The rows, if they are bound already.
    pub bound: Option<Queue<'a>>,
    /// What each row's slope is multiplied with, besides its weight.
    pub rates: &'a [f64],
    /// As in `loss::Rates`; of several outputs 0.
    pub implicit: f64,
    /// The sum of iterates, or empty.
    pub tail: &'a mut [f64],
}

/// Batches that are stepped by one after the other, without a gradient that anybody sees.
pub struct Batches<'a> {
    /// Rows of each.
    pub size: usize,
    /// One a batch.
    pub rates: &'a [f64],
    /// The sum of iterates, or empty.
    pub tail: &'a mut [f64],
}

/// Room for one block of rows.
#[derive(Default)]
pub struct Scratch {
    rows: Vec<f64>,
    raw: Vec<f64>,
    /// Steps of rows as often as they count.
    often: Vec<f64>,
    y: Vec<f64>,
    weight: Vec<f64>,
    /// A gradient that nobody asked for.
    grad: Vec<f64>,
    /// As `Sparse::see` has it.
    seen: Vec<f64>,
    bound: Bound,
    near: Vec<Eight>,
}

/// Coefficient and intercept of one feature.
fn line(theta: &[f64]) -> (f64, f64) {
    (theta[0], theta.get(1).copied().unwrap_or(0.0))
}

/// All rows of a problem, where these are few: what every pass over them would look up anew.
#[derive(Clone, Copy)]
pub struct Few<'a> {
    rows: Stored<'a>,
    told: Told<'a>,
    /// What makes a sum over them their loss.
    factor: f64,
    /// Multiplications of a pass.
    work: usize,
}

impl<'a> Objective<'a> {
    /// All rows, if there is one output and they are a block that lies together.
    pub fn few(&self) -> Option<Few<'a>> {
        let Problem { rows, y, weight, n, d, .. } = *self.problem;
        if self.problem.outputs > 1 || n > self.problem.block {
            return None;
        }
        rows.whole().map(|rows| Few { rows, told: Told { y, weight }, factor: self.factor(n), work: 2 * n * d })
    }

    /// How many of the parameters are coefficients.
    pub fn coefs(&self) -> usize {
        self.problem.outputs * self.problem.d
    }

    /// How many parameters there are.
    pub fn size(&self) -> usize {
        self.coefs() + if self.fit_intercept { self.problem.outputs } else { 0 }
    }

    /// All rows.
    pub fn all(&self) -> Pick<'static> {
        Pick::Run(0..self.problem.n)
    }

    /// The loss of `rows` rows, from the sum of `s_i loss_i` over them.
    pub fn reduce(&self, sum: f64, rows: usize) -> f64 {
        sum * self.factor(rows)
    }

    /// The penalty at `theta`.
    #[inline]
    pub fn penalty(&self, theta: &[f64]) -> f64 {
        self.penalty.value(&theta[..self.coefs()])
    }

    /// The objective over all rows.
    ///
    /// # Errors
    /// What `watch` answers.
    pub fn value(&self, theta: &[f64], scratch: &mut Scratch, watch: &mut Watch) -> Result<f64, Error> {
        let sum = self.pass(&self.all(), theta, None, scratch, watch)?;
        Ok(self.reduce(sum, self.problem.n) + self.penalty(theta))
    }

    /// Sets `grad` to the gradient over a batch, with that of the penalty's smooth part;
    /// returns the sum of `s_i loss_i` over it.
    ///
    /// # Errors
    /// What `watch` answers.
    pub fn gradient(
        &self,
        batch: &Pick,
        theta: &[f64],
        grad: &mut [f64],
        scratch: &mut Scratch,
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        grad.fill(0.0);
        let sum = self.pass(batch, theta, Some(&mut *grad), scratch, watch)?;
        self.finish(theta, grad, self.factor(batch.len()));
        Ok(sum)
    }

    /// The same over all rows, where they are `few`; returns their loss.
    ///
    /// # Errors
    /// What `watch` answers.
    #[inline(always)]
    pub fn gradient_of(&self, few: &Few, theta: &[f64], grad: &mut [f64], watch: &mut Watch) -> Result<f64, Error> {
        let Few { rows, told, factor, work } = few;
        let sum = if self.problem.d == 1 {
            let [product, slope, loss] = self.loss.singles(self.set, rows, line(theta), told);
            grad.iter_mut().zip([product, slope]).for_each(|(grad, sum)| *grad = factor * sum);
            self.penalty.add_gradient(&theta[..1], &mut grad[..1]);
            loss
        } else {
            grad.fill(0.0);
            let loss = self.block_of_one(rows, told, theta, grad);
            self.finish(theta, grad, *factor);
            loss
        };
        watch.tick(*work)?;
        Ok(sum * factor)
    }

    /// Makes a gradient of the sum of losses one of the objective's smooth part.
    fn finish(&self, theta: &[f64], grad: &mut [f64], factor: f64) {
        if factor != 1.0 {
            grad.iter_mut().for_each(|grad| *grad *= factor);
        }
        let coefs = self.coefs();
        self.penalty.add_gradient(&theta[..coefs], &mut grad[..coefs]);
    }

    /// Steps by each of some rows in turn, for one output and no penalty; returns the sum of `s_i loss_i` as the rows
    /// found it.
    ///
    /// # Errors
    /// Lack of memory.
    pub fn online(&self, rows: &Pick, theta: &mut [f64], turn: InTurn, scratch: &mut Scratch) -> Result<f64, Error> {
        let InTurn { bound, rates, implicit, tail } = turn;
        let Scratch { rows: room, raw, y, weight, bound: own, near, .. } = scratch;
        let told = self.problem.targets(rows, y, weight);
        let (w, b) = theta.split_at_mut(self.coefs());
        let line = Online { w, b, squares: implicit != 0.0, scales: &[], tail };
        raw.resize(rows.len(), 0.0);
        let rates = Rates { each: rates, steepest: f64::INFINITY, implicit };
        let (set, d, mut queue) = (self.set, self.problem.d, bound);
        if queue.is_none() && Bound::takes(set, d, 1) {
            self.problem.rows.fill(rows, Bound::stride(d), own.room(rows.len(), d)?);
            own.bind(set, line.squares);
            queue = own.turns(0, rows.len());
        }
        if let Some(queue) = queue {
            let steps = &mut |turn: &mut Turn| {
                self.loss.steps(set, turn, told.from(turn.first), rates.from(turn.first));
                turn.keep(&turn.raw, raw);
            };
            kernels::in_turns(set, queue, line, steps);
        } else {
            let step = &mut |i: usize, found: f64, square: f64| {
                raw[i] = found;
                self.loss.step((found, square), i, told, rates)
            };
            let near = kernels::room_for(d, near)?;
            match self.problem.rows.short(rows) {
                Some(lines) => kernels::online(set, lines, line, near, step),
                None => kernels::online(set, self.problem.rows.block(rows, room), line, near, step),
            }
        }
        Ok(self.loss.sum(self.set, raw, told))
    }

    /// theta -= rate grad for small batches of several features in turn, with one output and no penalty. Returns the sum
    /// of `s_i loss_i` as the rows found it, added to `sum` batch by batch; where that isn't finite, theta is anything.
    pub fn descend(&self, rows: &Pick, theta: &mut [f64], batches: Batches, sum: f64, scratch: &mut Scratch) -> f64 {
        let Scratch { rows: room, y, weight, grad, .. } = scratch;
        let (told, Batches { size, rates, tail }) = (self.problem.targets(rows, y, weight), batches);
        let (factor, (w, b), mut sum) = (self.factor(size), theta.split_at_mut(self.coefs()), sum);
        if let Some(columns) = self.problem.rows.turned(rows) {
            grad.resize(w.len(), 0.0);
            self.loss.downhill(self.set, columns, Downhill { w, b, rates, factor, grad, tail }, told, &mut sum);
            return sum;
        }
        let (tail_w, tail_b) = tail.split_at_mut(tail.len().min(w.len()));
        for ((batch, first), rate) in rows.blocks(size).zip((0..).step_by(size)).zip(rates) {
            grad.clear();
            grad.resize(w.len(), 0.0);
            let (at, own) = (b.first().copied().unwrap_or(0.0), told.from(first));
            let slopes = &mut |i: usize, raw: &mut [f64]| self.loss.block(self.set, raw, own.from(i), 1);
            let (loss, slope) = match self.problem.rows.short(&batch) {
                Some(lines) => kernels::gradient(self.set, lines, w, at, grad, slopes),
                None => kernels::gradient(self.set, self.problem.rows.block(&batch, room), w, at, grad, slopes),
            };
            sum += loss;
            w.iter_mut().zip(&*grad).for_each(|(w, grad)| *w -= rate * (factor * grad));
            b.iter_mut().for_each(|b| *b -= rate * (factor * slope));
            tail_w.iter_mut().zip(&*w).chain(tail_b.iter_mut().zip(&*b)).for_each(|(tail, theta)| *tail += theta);
        }
        sum
    }

    /// theta -= rate grad for few rows and several outputs, without a penalty and without a gradient that anybody sees.
    /// Returns the sum of `s_i loss_i`; where it isn't finite, nothing has changed.
    pub fn step_along(&self, batch: &Pick, theta: &mut [f64], rate: f64, scratch: &mut Scratch) -> f64 {
        let (Problem { rows, outputs, .. }, coefs) = (*self.problem, self.coefs());
        let (w, b) = theta.split_at_mut(coefs);
        let Scratch { rows: room, raw, y, weight, .. } = scratch;
        raw.resize(batch.len() * outputs, 0.0);
        rows.forward(batch, w, b, raw, room);
        let sum = self.loss.block(self.set, raw, self.problem.targets(batch, y, weight), outputs);
        if sum.is_finite() {
            let step = -rate * self.factor(batch.len());
            raw.iter_mut().for_each(|slope| *slope *= step);
            rows.backward(batch, raw, w, room);
            for steps in raw.chunks_exact(outputs) {
                b.iter_mut().zip(steps).for_each(|(b, step)| *b += step);
            }
        }
        sum
    }

    /// The same by a few single rows in turn, each finding what those before it have done: raw_r is what w and b
    /// predict before the first of them, less the sum of step_q (x_q . x_r + 1) over the rows before it, so that w goes
    /// by once for all. Where the sum of losses isn't finite, or a product of rows, nothing has changed, and the answer
    /// isn't finite.
    pub fn step_in_turn(
        &self,
        batch: &Pick,
        theta: &mut [f64],
        InTurn { bound, rates, tail, .. }: InTurn,
        scratch: &mut Scratch,
    ) -> Result<f64, Error> {
        let (Problem { rows, outputs, d, .. }, count, set) = (*self.problem, batch.len(), self.set);
        let (w, b) = theta.split_at_mut(self.coefs());
        let Scratch { rows: room, raw, y, weight, often, bound: own, .. } = scratch;
        raw.resize(count * outputs, 0.0);
        let mut queue = bound;
        if queue.is_none() && Bound::takes(set, d, outputs) {
            rows.fill(batch, Bound::stride(d), own.room(count, d)?);
            own.bind(set, false);
            queue = own.turns(0, count);
        }
        let (factor, one) = (self.factor(1), b.len().min(1) as f64);
        let (mut moves, mut sound) = (Moves::default(), true);
        let lines = if let Some(queue) = queue {
            if let Some(bond) = queue.bond() {
                moves.shared[..TURN - 1].copy_from_slice(&bond.shared);
                sound = bond.sound;
            }
            queue.lines()
        } else {
            room.resize(count * d, 0.0);
            rows.fill(batch, d, room);
            let lines = Lines::Together { values: room, stride: d, beyond: 0 };
            for (x, shared) in room.chunks_exact(d).zip(&mut moves.shared) {
                kernels::forward(set, lines, d, x, &[], &mut shared[..count]);
            }
            sound = moves.shared.as_flattened().iter().all(|shared| shared.is_finite());
            lines
        };
        if !sound {
            return Ok(f64::NAN);
        }
        moves.shared.as_flattened_mut().iter_mut().for_each(|shared| *shared += one);
        for (scale, rate) in moves.scales.iter_mut().zip(rates) {
            *scale = -rate * factor;
        }
        kernels::forward(set, lines, d, w, b, raw);
        let sum = self.loss.in_turn(set, raw, self.problem.targets(batch, y, weight), outputs, &moves);
        if !sum.is_finite() {
            return Ok(sum);
        }
        let (tail_w, tail_b) = tail.split_at_mut(tail.len().min(w.len()));
        if !tail_w.is_empty() {
            tail_w.iter_mut().zip(&*w).for_each(|(tail, w)| *tail += count as f64 * w);
            tail_b.iter_mut().zip(&*b).for_each(|(tail, b)| *tail += count as f64 * b);
            often.clone_from(raw); // each step as often as it was there
            for (r, steps) in often.chunks_exact_mut(outputs).enumerate() {
                steps.iter_mut().for_each(|step| *step *= (count - r) as f64);
                tail_b.iter_mut().zip(steps).for_each(|(tail, step)| *tail += *step);
            }
            kernels::backward(self.set, lines, d, often, tail_w);
        }
        kernels::backward(self.set, lines, d, raw, w);
        for steps in raw.chunks_exact(outputs) {
            b.iter_mut().zip(steps).for_each(|(b, step)| *b += step);
        }
        Ok(sum)
    }

    /// The largest curvature of one row's part of the objective, for a loss of curvature `c`: c s_i (|x_i|^2 + 1).
    pub fn row_curvature(&self, i: usize, c: f64) -> f64 {
        let s = self.problem.weight.get(i).copied().unwrap_or(1.0);
        let one = if self.fit_intercept { 1.0 } else { 0.0 };
        c * s * self.factor(1) * (self.problem.rows.square(i) + one)
    }

    /// What makes a sum over so many rows their loss.
    pub fn factor(&self, rows: usize) -> f64 {
        match self.reduction {
            Reduction::Mean => 1.0 / (self.problem.mean_weight * rows as f64),
            Reduction::Sum => 1.0,
        }
    }

    /// Over a batch: predictions, losses, and if asked the sum of `s_i` times the gradient of `loss_i`.
    fn pass(
        &self,
        batch: &Pick,
        theta: &[f64],
        grad: Option<&mut [f64]>,
        scratch: &mut Scratch,
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        let sparse = self.problem.rows.sparse();
        let least = sparse.map_or(1, |rows| rows.d() / rows.width());
        let least = 4 * self.problem.outputs * least.max(1); // so that gradients of parts are small beside their rows
        if are_one(batch.len(), least) {
            return self.part(batch, theta, grad, scratch, watch);
        }
        let each = 2 * sparse.map_or(self.coefs(), |rows| 4 * self.problem.outputs * rows.width());
        let sums = each_part(parts(batch.len(), least), each, self.threads, watch, |part, watch| {
            let mut own = zeros(if grad.is_some() { theta.len() } else { 0 }, "the gradient of a part")?;
            let grad = grad.is_some().then_some(&mut own[..]);
            let sum = self.part(&batch.part(part), theta, grad, &mut Scratch::default(), watch)?;
            Ok((sum, own))
        })?;
        if let Some(grad) = grad {
            for (_, own) in &sums {
                for (grad, own) in grad.iter_mut().zip(own) {
                    *grad += own;
                }
            }
        }
        Ok(sums.iter().map(|(sum, _)| sum).sum())
    }

    /// The same over few rows, block by block.
    fn part(
        &self,
        batch: &Pick,
        theta: &[f64],
        grad: Option<&mut [f64]>,
        scratch: &mut Scratch,
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        if let Some(rows) = self.problem.rows.sparse() {
            return self.part_of_sparse(rows, batch, theta, grad, scratch, watch);
        }
        match grad {
            Some(grad) if self.problem.outputs == 1 => self.part_of_one(batch, theta, grad, scratch, watch),
            None if self.problem.outputs == 1 => {
                let mut unasked = std::mem::take(&mut scratch.grad);
                unasked.resize(theta.len(), 0.0);
                let sum = self.part_of_one(batch, theta, &mut unasked, scratch, watch);
                scratch.grad = unasked;
                sum
            }
            grad => self.part_of_many(batch, theta, grad, scratch, watch),
        }
    }

    /// For one output, over rows in columns; `scratch.seen` is for parameters that stay where they are.
    fn part_of_turned(
        &self,
        columns: Columns,
        told: Told,
        theta: &[f64],
        grad: &mut [f64],
        seen: &mut Vec<f64>,
    ) -> f64 {
        seen.clear();
        seen.extend_from_slice(theta);
        let ((w, b), mut sum) = (seen.split_at_mut(self.coefs()), 0.0);
        let line = Downhill { w, b, rates: &[], factor: 1.0, grad, tail: &mut [] };
        self.loss.downhill(self.set, columns, line, told, &mut sum);
        sum
    }

    /// For one output: forward and backward at once, also where nobody asked for a gradient, so that a loss has the
    /// same bits with and without.
    fn part_of_one(
        &self,
        batch: &Pick,
        theta: &[f64],
        grad: &mut [f64],
        scratch: &mut Scratch,
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        if let Some(columns) = self.problem.rows.turned(batch) {
            let Scratch { y, weight, seen, .. } = scratch;
            watch.tick(2 * batch.len() * theta.len())?;
            return Ok(self.part_of_turned(columns, self.problem.targets(batch, y, weight), theta, grad, seen));
        }
        let (rows, mut sum) = (self.problem.rows, 0.0);
        for block in batch.blocks(self.problem.block) {
            let Scratch { rows: room, y, weight, .. } = &mut *scratch;
            let told = self.problem.targets(&block, y, weight);
            let stored = rows.short(&block).map_or_else(|| Stored::Wide(rows.block(&block, room)), Stored::Short);
            sum += self.block_of_one(&stored, &told, theta, grad);
            watch.tick(2 * block.len() * self.problem.d)?;
        }
        Ok(sum)
    }

    /// The same over a block.
    fn block_of_one(&self, rows: &Stored, told: &Told, theta: &[f64], grad: &mut [f64]) -> f64 {
        let (grad_w, grad_b) = grad.split_at_mut(self.problem.d);
        let (loss, slope) = if let [grad] = grad_w {
            let [product, slope, loss] = self.loss.singles(self.set, rows, line(theta), told);
            *grad += product;
            (loss, slope)
        } else {
            let (w, b) = theta.split_at(grad_w.len());
            let b = b.first().copied().unwrap_or(0.0);
            let slopes = &mut |i: usize, raw: &mut [f64]| self.loss.block(self.set, raw, told.from(i), 1);
            match *rows {
                Stored::Wide(lines) => kernels::gradient(self.set, lines, w, b, grad_w, slopes),
                Stored::Short(lines) => kernels::gradient(self.set, lines, w, b, grad_w, slopes),
            }
        };
        grad_b.iter_mut().for_each(|grad| *grad += slope);
        loss
    }

    /// Over sparse rows, at a cost of their numbers and of the parameters; `grad` is 0 so far.
    fn part_of_sparse(
        &self,
        rows: &Sparse,
        batch: &Pick,
        theta: &[f64],
        mut grad: Option<&mut [f64]>,
        scratch: &mut Scratch,
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        let (d, outputs) = (rows.d(), self.problem.outputs);
        let (w, b) = theta.split_at(self.coefs());
        let Scratch { raw, y, weight, seen, .. } = scratch;
        let (mut offsets, mut slopes, mut sum) = (b.to_vec(), vec![0.0; outputs], 0.0);
        offsets.resize(outputs, 0.0);
        if rows.is_standard() {
            rows.see(w, seen, &mut offsets);
        }
        let w = if rows.is_standard() { &seen[..] } else { w };
        for block in batch.blocks(TOGETHER) {
            let mut stored = 0;
            raw.clear();
            for at in 0..block.len() {
                if let Some(soon) = block.soon(at, AHEAD) {
                    rows.soon(soon);
                }
                let i = block.row(at);
                raw.extend(w.chunks_exact(d).zip(&offsets).map(|(w, offset)| rows.dot(i, w) + offset));
                stored += rows.len(i) + 1;
            }
            sum += self.loss.block(self.set, raw, self.problem.targets(&block, y, weight), outputs);
            watch.tick(4 * stored * outputs)?;
            let Some(grad) = grad.as_deref_mut() else { continue };
            for (at, of_row) in raw.chunks_exact(outputs).enumerate() {
                for ((grad, sum), &slope) in grad.chunks_exact_mut(d).zip(&mut slopes).zip(of_row) {
                    *sum += slope;
                    if slope != 0.0 {
                        rows.add(block.row(at), slope, grad);
                    }
                }
            }
        }
        if let Some(grad) = grad {
            let (grad_w, grad_b) = grad.split_at_mut(w.len());
            if rows.is_standard() {
                rows.turn(grad_w, &slopes);
            }
            grad_b.iter_mut().zip(&slopes).for_each(|(grad, slope)| *grad += slope);
        }
        watch.tick(8 * theta.len())?; // here, and in the step that follows
        Ok(sum)
    }

    /// For several outputs: forward, the losses, backward.
    fn part_of_many(
        &self,
        batch: &Pick,
        theta: &[f64],
        mut grad: Option<&mut [f64]>,
        scratch: &mut Scratch,
        watch: &mut Watch,
    ) -> Result<f64, Error> {
        let Problem { rows, outputs, .. } = *self.problem;
        let (w, b) = theta.split_at(self.coefs());
        let mut sum = 0.0;
        for block in batch.blocks(self.problem.block) {
            let Scratch { rows: room, raw, y, weight, .. } = scratch;
            raw.resize(block.len() * outputs, 0.0);
            rows.forward(&block, w, b, raw, room);
            sum += self.loss.block(self.set, raw, self.problem.targets(&block, y, weight), outputs);
            watch.tick(block.len() * w.len())?;
            if let Some(grad) = grad.as_deref_mut() {
                let (grad_w, grad_b) = grad.split_at_mut(w.len());
                rows.backward(&block, raw, grad_w, room);
                raw.chunks_exact(outputs).for_each(|slopes| {
                    grad_b.iter_mut().zip(slopes).for_each(|(grad, slope)| *grad += slope);
                });
                watch.tick(block.len() * w.len())?;
            }
        }
        Ok(sum)
    }
}

/// x_i . w_k + b_k for every row, (n, outputs).
///
/// # Errors
/// What `watch` answers, and lack of memory.
pub fn predictions(rows: &dyn Rows, n: usize, w: &[f64], b: &[f64], watch: &mut Watch) -> Result<Vec<f64>, Error> {
    let (mut all, mut room) = (zeros(n.saturating_mul(b.len()), "predictions")?, Vec::new());
    let size = block_size(rows.d(), b.len());
    for (block, raw) in Pick::Run(0..n).blocks(size).zip(all.chunks_mut(size * b.len())) {
        rows.forward(&block, w, b, raw, &mut room);
        watch.tick(block.len() * w.len())?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dense;
    use crate::loss::LOSSES;
    use crate::observe::Alone;

    /// Single rows with several outputs, in turn: what steps one after the other come to, tail included.
    #[test]
    fn rows_in_turn_step_as_single_rows_do() {
        let n = 8;
        for (d, part) in [1, 3, 10, 20].into_iter().flat_map(|d| LOSSES.iter().map(move |part| (d, part))) {
            let wave =
                |count: usize, speed: f64| -> Vec<f64> { (0..count).map(|i| (i as f64 * speed).sin()).collect() };
            let (values, weight) = (wave(n * d, 0.9), (0..n).map(|i| 0.5 + (i % 3) as f64).collect::<Vec<f64>>());
            let (rows, order) = (Dense::new(&values, d).unwrap(), [7u32, 2, 2, 5, 0, 1]);
            let (loss, facts) = crate::loss::loss(part.name, &[]).unwrap();
            let (told, outputs) = if facts.targets.coupled() { (1, 3) } else { (3, 3) };
            let candidates = [-1.0, 1.0, 0.0, 2.0, 5.0, -4.0];
            let admitted: Vec<f64> = candidates.into_iter().filter(|&y| facts.targets.admit(y)).collect();
            let y: Vec<f64> = (0..n * told).map(|i| admitted[i % admitted.len()].min(2.0)).collect();
            for (weight, fit_intercept) in [(&[][..], true), (&weight, false)] {
                let problem = Problem::new(&rows, n, &y, told, weight).unwrap();
                let problem = if told == 1 { problem.coupled(outputs).unwrap() } else { problem };
                let (penalty, reduction) = (Penalty::default(), facts.reduction);
                let set = *Set::available().collect::<Vec<_>>().last().unwrap();
                let objective =
                    Objective { problem: &problem, loss: &*loss, reduction, penalty, fit_intercept, threads: 1, set };
                let (rates, size) = (vec![0.02; order.len()], objective.size());
                let start: Vec<f64> = wave(size, 1.1).iter().map(|theta| 0.1 * theta).collect();
                let (mut theta, mut scratch) = ([start.clone(), start], Scratch::default());
                let (mut tails, mut single) = ([vec![0.5; size], vec![0.5; size]], 0.0);
                let turn = InTurn { bound: None, rates: &rates, implicit: 0.0, tail: &mut tails[0] };
                let sum = objective.step_in_turn(&Pick::at(&order), &mut theta[0], turn, &mut scratch).unwrap();
                for (i, rate) in rates.iter().enumerate() {
                    let row = Pick::At { order: &order, stretch: i..i + 1 };
                    single += objective.step_along(&row, &mut theta[1], *rate, &mut scratch);
                    tails[1].iter_mut().zip(&theta[1]).for_each(|(tail, theta)| *tail += theta);
                }
                let found = [&theta[0][..], &tails[0], &[sum]].concat();
                for (found, expected) in found.iter().zip([&theta[1][..], &tails[1], &[single]].concat()) {
                    let apart = (found - expected).abs();
                    assert!(apart <= 1e-12 * (1.0 + expected.abs()), "{} d={d}: {found} {expected}", part.name);
                }
            }
        }
    }

    /// Over the table: the gradient of a batch is the derivative of the batch's objective, weights and penalty
    /// included.
    #[test]
    fn gradient_is_the_derivative_of_the_objective() {
        let values: Vec<f64> = (0..30).map(|i| (i as f64 * 0.9).sin()).collect();
        let rows = Dense::new(&values, 3).unwrap();
        let weight: Vec<f64> = (0..10).map(|i| 0.5 + (i % 3) as f64).collect();
        let theta = [0.3, -0.2, 0.1, 0.4, 0.0, -0.5, 0.2, -0.1];
        let (mut scratch, mut alone) = (Scratch::default(), Alone);
        let mut watch = Watch::new(&mut alone);
        for part in LOSSES {
            let (loss, facts) = crate::loss::loss(part.name, &[]).unwrap();
            let candidates = [-1.0, 1.0, 0.0, 2.0, 5.0, -4.0];
            let admitted: Vec<f64> = candidates.into_iter().filter(|&y| facts.targets.admit(y)).collect();
            let told = if facts.targets.coupled() { 10 } else { 20 };
            let y: Vec<f64> = (0..told).map(|i| admitted[i % admitted.len()].min(told as f64 / 10.0)).collect();
            let problem = Problem::new(&rows, 10, &y, told / 10, &weight).unwrap();
            let problem = if told == 10 { problem.coupled(2).unwrap() } else { problem };
            let objective = Objective {
                problem: &problem,
                loss: &*loss,
                reduction: facts.reduction,
                penalty: Penalty { l2: 0.7, ..Penalty::default() },
                fit_intercept: true,
                threads: 1,
                set: Set::BASELINE,
            };
            for batch in [objective.all(), Pick::at(&[7, 2, 2])] {
                let mut grad = [9.0; 8];
                objective.gradient(&batch, &theta, &mut grad, &mut scratch, &mut watch).unwrap();
                for j in 0..theta.len() {
                    let mut at = |step: f64| {
                        let mut moved = theta;
                        moved[j] += step;
                        let sum = objective.pass(&batch, &moved, None, &mut scratch, &mut watch).unwrap();
                        objective.reduce(sum, batch.len()) + objective.penalty(&moved)
                    };
                    let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!(
                        (slope - grad[j]).abs() <= 1e-6 * (1.0 + slope.abs()),
                        "{} {j}: {slope} {}",
                        part.name,
                        grad[j]
                    );
                }
            }
        }
    }

    /// A pass over few rows finds what any other does, to the last bit.
    #[test]
    fn few_rows_are_passed_over_as_any_others() {
        let (mut scratch, mut alone) = (Scratch::default(), Alone);
        let mut watch = Watch::new(&mut alone);
        let weight: Vec<f64> = (0..20).map(|i| 0.5 + (i % 3) as f64).collect();
        for (d, weight) in [(1, &weight[..]), (1, &[]), (2, &weight), (9, &[])] {
            let (half, wide): (Vec<f32>, Vec<f64>) =
                (0..20 * d).map(|i| (i as f32 * 0.9).sin()).map(|x| (x, f64::from(x))).collect();
            let tables: [&dyn Rows; 2] = [&Dense::new(&wide, d).unwrap(), &Dense::new(&half, d).unwrap()];
            let (y, (loss, facts)) = (&wide[..20], crate::loss::loss("huber", &[]).unwrap());
            for (rows, fit_intercept) in [(tables[0], true), (tables[1], false)] {
                let problem = Problem::new(rows, 20, y, 1, weight).unwrap();
                let penalty = Penalty { l2: 0.7, ..Penalty::default() };
                let (reduction, set) = (facts.reduction, Set::BASELINE);
                let objective =
                    Objective { problem: &problem, loss: &*loss, reduction, penalty, fit_intercept, threads: 1, set };
                let theta: Vec<f64> = (0..objective.size()).map(|j| 0.3 - 0.1 * j as f64).collect();
                let mut grad = [vec![9.0; theta.len()], vec![9.0; theta.len()]];
                let sum = objective.gradient(&objective.all(), &theta, &mut grad[0], &mut scratch, &mut watch).unwrap();
                let few = objective.few().unwrap();
                let loss = objective.gradient_of(&few, &theta, &mut grad[1], &mut watch).unwrap();
                assert_eq!((loss, &grad[1]), (objective.reduce(sum, 20), &grad[0]), "{d}");
            }
            let columns = Dense::new(&wide, d).unwrap().by_columns();
            let problem = Problem::new(&columns, 20, y, 1, weight).unwrap();
            let (penalty, reduction, set) = (Penalty::default(), facts.reduction, Set::BASELINE);
            let objective =
                Objective { problem: &problem, loss: &*loss, reduction, penalty, fit_intercept: true, threads: 1, set };
            assert!(objective.few().is_none());
        }
    }
}
