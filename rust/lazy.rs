//! Lazy: steps along the gradients of a few sparse rows each, at the cost of what these hold, however many features
//! there are. What a step does to all coefficients alike is kept aside, and caught up with where one of them is met
//! again.
//!
//! With l2 and l1 a step of plain descent makes every coefficient w that its rows lack sign(w) max(0, f |w| - t). So w
//! is kept as v with |w| = scale max(0, |v| - off), where each step multiplies `scale` by its f and then adds t / scale
//! to `off`: v stays as it is until a row has it (after Langford, Li and Zhang, "Sparse Online Learning via Truncated
//! Gradient", 2009, and Carpenter, "Lazy Sparse Stochastic Gradient Descent for Regularized Multinomial Logistic
//! Regression", 2008). In centred coordinates each step moves w, besides, along the one direction mean / scale: so far
//! is kept aside. Sums over steps, of iterates for their mean and of the penalty, are differences of sums of scales and
//! offs.

use crate::data::{Pick, Problem};
use crate::error::{Error, zeros};
use crate::objective::Objective;
use crate::observe::Watch;
use crate::penalty::Penalty;
use crate::sparse::Sparse;

/// How many rows ahead memory is asked for.
const AHEAD: usize = 8;
/// All coefficients are brought up to date when the scale is below this, so that few digits cancel.
const SMALL: f64 = 1e-2;
/// A step that leaves less of coefficients is taken by all of them at once.
const ABRUPT: f64 = 0.25;
/// Steps with l1 after which all coefficients are brought up to date, at least and at most.
const WINDOW: (usize, usize) = (1024, 1 << 18);

/// What a run is made of that can be stepped through lazily.
pub struct Lazy<'a> {
    objective: &'a Objective<'a>,
    rows: &'a Sparse<'a>,
    /// (d): mean / scale of each feature, what its coordinate is below 0 in rows without it; empty where that is 0.
    lack: Vec<f64>,
    raw: Vec<f64>,
    y: Vec<f64>,
    weight: Vec<f64>,
}

/// Batches that are stepped by.
pub struct Turns<'a> {
    /// As in `Objective`.
    pub theta: &'a mut [f64],
    /// The sum of iterates, or empty.
    pub tail: &'a mut [f64],
    /// The loss's curvature, where the rule divides each rate by 1 + rate times the curvature of the row.
    pub implicit: Option<f64>,
    /// The schedule's rate for the turn of this number, from 0.
    pub rate: &'a dyn Fn(u64) -> f64,
    /// Rows a batch, and how many batches.
    pub size: usize,
    pub count: usize,
}

/// What came of them.
#[derive(Debug, Default)]
pub struct Done {
    /// How many batches were stepped by: fewer than asked for where the loss of the next is not finite.
    pub count: usize,
    /// Of `s_i loss_i`, and of the rows of each batch times the penalty before its step.
    pub sum: f64,
    pub penalty: f64,
    /// The latest rate.
    pub rate: f64,
}

impl<'a> Lazy<'a> {
    /// Of sparse rows and a rule whose step is `theta -= rate grad`; none where steps touch every coefficient in its
    /// own way, as with a penalty in standardised coordinates, or looks at each, as where none may be negative.
    pub fn of(objective: &'a Objective<'a>, plain: bool) -> Option<Self> {
        let Penalty { l1, l2, positive, scale } = objective.penalty;
        let rows = objective.problem.rows.sparse()?;
        let uneven = (l1 != 0.0 || l2 != 0.0) && (!scale.is_empty() || rows.is_standard());
        if !plain || uneven || positive {
            return None;
        }
        let mut lack: Vec<f64> = rows.mean.iter().zip(rows.inverse).map(|(mean, inverse)| mean * inverse).collect();
        if lack.iter().all(|&lack| lack == 0.0) {
            lack.clear();
        }
        Some(Lazy { objective, rows, lack, raw: Vec::new(), y: Vec::new(), weight: Vec::new() })
    }

    /// Steps by the first batches of `order` in turn.
    ///
    /// # Errors
    /// What `watch` answers, and lack of memory.
    pub fn run(&mut self, order: &Pick, turns: Turns, watch: &mut Watch) -> Result<Done, Error> {
        let Lazy { objective, rows, lack, raw, y, weight } = self;
        let Objective { problem, loss, penalty, set, .. } = **objective;
        let Problem { outputs, .. } = *problem;
        let coefs = objective.coefs();
        let (w, b) = turns.theta.split_at_mut(coefs);
        let mut line = Line::new(rows, lack, w, b, turns.tail, &penalty)?;
        let mut done = Done::default();
        for batch in order.blocks(turns.size).take(turns.count) {
            raw.clear();
            let mut stored = 0;
            for at in 0..batch.len() {
                if let Some(soon) = batch.soon(at, AHEAD) {
                    rows.soon(soon);
                }
                line.predict(batch.row(at), raw);
                stored += rows.len(batch.row(at)) + 1;
            }
            let sum = loss.block(set, raw, problem.targets(&batch, y, weight), outputs);
            if !sum.is_finite() {
                break;
            }
            let rate = (turns.rate)(done.count as u64);
            let own = match turns.implicit {
                Some(c) => rate / (1.0 + rate * objective.row_curvature(batch.first(), c)),
                None => rate,
            };
            line.step(&batch, raw, own * objective.factor(batch.len()), (1.0 - own * penalty.l2, rate * penalty.l1));
            done.sum += sum;
            (done.rate, done.count) = (rate, done.count + 1);
            watch.tick(4 * stored * outputs)?;
        }
        line.end();
        done.penalty = penalty.l1 * line.absolute + 0.5 * penalty.l2 * line.square;
        Ok(done)
    }
}

/// Sums over the steps so far; those over penalties are of the iterates that batches found, times their rows.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    off: f64,
    /// Of scale, and scale off, after each step.
    tail: [f64; 2],
    /// Of scale, and scale off, before each.
    absolute: [f64; 2],
    /// Of scale^2, scale^2 off, scale^2 off^2, before each.
    square: [f64; 3],
}

/// Coefficients and intercepts under way: w_kj = sign(v_kj) scale max(0, |v_kj| - off) + moved_k lack_j.
struct Line<'a> {
    rows: &'a Sparse<'a>,
    lack: &'a [f64],
    v: &'a mut [f64],
    b: &'a mut [f64],
    tail: &'a mut [f64],
    /// Whether l1 is paid, and whether any sums are asked for.
    cut: bool,
    counted: bool,
    scale: f64,
    sums: Sums,
    /// With l1 the sums after each step since all coefficients were up to date, and `off` once more, to be searched.
    past: Vec<Sums>,
    offs: Vec<f64>,
    /// Sums of |w| and w^2 over the iterates that batches found, times their rows, but for what `sums` stand for.
    absolute: f64,
    square: f64,
    /// (outputs): along `lack`, its sum over steps, and v . lack.
    moved: Vec<f64>,
    moved_sum: Vec<f64>,
    along: Vec<f64>,
    /// |lack|^2
    length: f64,
}

impl<'a> Line<'a> {
    fn new(
        rows: &'a Sparse<'a>,
        lack: &'a [f64],
        v: &'a mut [f64],
        b: &'a mut [f64],
        tail: &'a mut [f64],
        penalty: &Penalty,
    ) -> Result<Self, Error> {
        let outputs = v.len() / rows.d();
        let along = match lack.len() {
            0 => Vec::new(),
            d => v.chunks_exact(d).map(|v| v.iter().zip(lack).map(|(v, lack)| v * lack).sum()).collect(),
        };
        Ok(Line {
            cut: penalty.l1 != 0.0,
            counted: penalty.l1 != 0.0 || penalty.l2 != 0.0 || !tail.is_empty(),
            rows,
            lack,
            v,
            b,
            tail,
            scale: 1.0,
            sums: Sums::default(),
            past: vec![Sums::default()],
            offs: vec![0.0],
            absolute: 0.0,
            square: 0.0,
            moved: zeros(outputs, "coefficients")?,
            moved_sum: zeros(outputs, "coefficients")?,
            along,
            length: lack.iter().map(|lack| lack * lack).sum(),
        })
    }

    /// Adds the predictions of row `i`.
    fn predict(&self, i: usize, raw: &mut Vec<f64>) {
        let Line { rows, lack, scale, .. } = *self;
        let off = self.sums.off;
        for (k, v) in self.v.chunks_exact(rows.d()).enumerate() {
            let b = self.b.get(k).copied().unwrap_or(0.0);
            if rows.is_standard() {
                let mut sums = [0.0; 2];
                rows.each(i, |j, x| {
                    let z = x * rows.inverse[j];
                    sums[0] += z * v[j];
                    sums[1] += lack.get(j).map_or(0.0, |lack| z * lack);
                });
                let along = self.along.get(k).copied().unwrap_or(0.0);
                raw.push(sums[0] + self.moved[k] * (sums[1] - self.length) - along + b);
            } else if self.cut {
                let mut sum = 0.0;
                rows.each(i, |j, x| sum += x * shrunk(v[j], off));
                raw.push(scale * sum + b);
            } else {
                raw.push(scale * rows.dot(i, v) + b);
            }
        }
    }

    /// A step of `rate` along the sum of `slopes` (rows, outputs) times the rows of a batch, that makes every
    /// coefficient w first f w, and then takes t off its size.
    fn step(&mut self, batch: &Pick, slopes: &[f64], rate: f64, (f, t): (f64, f64)) {
        self.count_penalty(batch.len() as f64);
        let late =
            self.scale * f < SMALL || self.past.len() > self.rows.d().saturating_mul(4).clamp(WINDOW.0, WINDOW.1);
        if late || f < ABRUPT {
            self.bring_up_to_date();
        }
        if f < ABRUPT {
            self.v.iter_mut().for_each(|v| *v *= f);
        } else {
            self.scale *= f;
        }
        match (self.cut, self.counted) {
            (true, _) => self.add::<true, true>(batch, slopes, rate),
            (false, true) => self.add::<false, true>(batch, slopes, rate),
            (false, false) => self.add::<false, false>(batch, slopes, rate),
        }
        self.count_iterate(t);
    }

    /// v -= rate slope x / scale for each row, b -= rate slope, and what goes with it.
    fn add<const CUT: bool, const COUNTED: bool>(&mut self, batch: &Pick, slopes: &[f64], rate: f64) {
        let Line { rows, lack, v, b, tail, scale, moved, along, .. } = self;
        let (d, seen) = (rows.d(), Past { sums: self.sums, past: &self.past, offs: &self.offs });
        let mut counts = [self.absolute, self.square]; // in registers, with luck
        for (at, slopes) in slopes.chunks_exact(moved.len()).enumerate() {
            let i = batch.row(at);
            for (k, &slope) in slopes.iter().enumerate().filter(|(_, slope)| **slope != 0.0) {
                let (c, v) = (-(rate / *scale) * slope, &mut v[k * d..][..d]);
                let tail = tail.get_mut(k * d..(k + 1) * d).unwrap_or(&mut []);
                if rows.is_standard() {
                    let mut sum = 0.0;
                    rows.each(i, |j, x| {
                        let by = c * x * rows.inverse[j];
                        seen.change::<CUT, COUNTED>(&mut v[j], tail.get_mut(j), by, &mut counts);
                        sum += lack.get(j).map_or(0.0, |lack| lack * by);
                    });
                    if let Some(along) = along.get_mut(k) {
                        *along += sum;
                        moved[k] -= c;
                    }
                } else {
                    rows.each(i, |j, x| {
                        seen.change::<CUT, COUNTED>(&mut v[j], tail.get_mut(j), c * x, &mut counts);
                    });
                }
                b.get_mut(k).into_iter().for_each(|b| *b -= rate * slope);
            }
        }
        [self.absolute, self.square] = counts;
    }

    /// Counts the penalty that a batch of so many rows finds.
    fn count_penalty(&mut self, rows: f64) {
        if !self.counted {
            return;
        }
        let (scale, off, sums) = (self.scale, self.sums.off, &mut self.sums);
        sums.absolute[0] += rows * scale;
        sums.absolute[1] += rows * scale * off;
        sums.square[0] += rows * scale * scale;
        sums.square[1] += rows * scale * scale * off;
        sums.square[2] += rows * scale * scale * off * off;
        if let Some(latest) = self.past.last_mut() {
            *latest = self.sums;
        }
    }

    /// Takes `t` off the size of all coefficients, and counts where they are now.
    fn count_iterate(&mut self, t: f64) {
        if !self.counted {
            return;
        }
        if self.cut {
            self.sums.off += t / self.scale;
        }
        self.sums.tail[0] += self.scale;
        self.sums.tail[1] += self.scale * self.sums.off;
        if self.cut {
            self.past.push(self.sums);
            self.offs.push(self.sums.off);
        }
        if let Some((_, tail)) = self.tail.split_at_mut_checked(self.v.len()) {
            tail.iter_mut().zip(&*self.b).for_each(|(sum, b)| *sum += b);
            self.moved_sum.iter_mut().zip(&self.moved).for_each(|(sum, moved)| *sum += moved);
        }
    }

    /// Leaves nothing aside.
    fn end(&mut self) {
        self.bring_up_to_date();
        let d = self.lack.len();
        for (k, v) in self.v.chunks_exact_mut(d.max(1)).enumerate().take(self.along.len()) {
            v.iter_mut().zip(self.lack).for_each(|(v, lack)| *v += self.moved[k] * lack);
            if let Some(tail) = self.tail.get_mut(k * d..(k + 1) * d) {
                tail.iter_mut().zip(self.lack).for_each(|(sum, lack)| *sum += self.moved_sum[k] * lack);
            }
        }
    }

    /// Brings all coefficients up to date, but for what is along `lack`: scale 1, off 0.
    fn bring_up_to_date(&mut self) {
        let (off, scale) = (self.sums.off, self.scale);
        if self.counted {
            let seen = Past { sums: self.sums, past: &self.past, offs: &self.offs };
            let mut counts = [self.absolute, self.square];
            for (at, &v) in self.v.iter().enumerate() {
                count(v, 1.0, seen.of::<true>(v), self.tail.get_mut(at), &mut counts);
            }
            [self.absolute, self.square] = counts;
        }
        if off != 0.0 || scale != 1.0 {
            self.v.iter_mut().for_each(|v| *v = scale * shrunk(*v, off));
        }
        self.scale = 1.0;
        self.sums = Sums::default();
        self.past.clear();
        self.past.push(self.sums);
        self.offs.clear();
        self.offs.push(0.0);
    }
}

/// The sums over the steps so far, and over those before.
struct Past<'a> {
    sums: Sums,
    past: &'a [Sums],
    offs: &'a [f64],
}

impl Past<'_> {
    /// `v`, as it is seen, moves so far.
    #[inline(always)]
    fn change<const CUT: bool, const COUNTED: bool>(
        &self,
        v: &mut f64,
        mut tail: Option<&mut f64>,
        by: f64,
        counts: &mut [f64; 2],
    ) {
        let (old, off) = (*v, self.sums.off);
        let mut new = if CUT { shrunk(old, off) + by } else { old + by };
        if CUT {
            new = (new.abs() + off).copysign(new);
            new = if new.abs() <= off { 0.0 } else { new };
        }
        *v = new;
        if COUNTED {
            count(old, 1.0, self.of::<CUT>(old), tail.as_deref_mut(), counts);
            count(new, -1.0, &self.sums, tail, counts);
        }
    }

    /// The sums over the steps in which a coefficient kept as `v` was not 0.
    #[inline(always)]
    fn of<const CUT: bool>(&self, v: f64) -> &Sums {
        if CUT && v.abs() <= self.sums.off && v != 0.0 {
            &self.past[last_below(self.offs, v.abs())]
        } else {
            &self.sums
        }
    }
}

/// Counts `times` what a coefficient that was `v` all the time had part in: sums of |w|, of w^2, and of w itself in
/// `tail`.
#[inline(always)]
fn count(v: f64, times: f64, sums: &Sums, tail: Option<&mut f64>, counts: &mut [f64; 2]) {
    if v == 0.0 {
        return;
    }
    let (size, Sums { tail: of_tail, absolute, square, .. }) = (v.abs(), sums);
    if let Some(sum) = tail {
        *sum += times * v.signum() * (size * of_tail[0] - of_tail[1]);
    }
    counts[0] += times * (size * absolute[0] - absolute[1]);
    counts[1] += times * ((size * square[0] - 2.0 * square[1]) * size + square[2]);
}

/// Where the last of rising numbers, the first of them 0, is that is below `x`, which the last of all is not: they rise
/// evenly, so that a guess is near and few are looked at.
fn last_below(offs: &[f64], x: f64) -> usize {
    const NEAR: usize = 2;
    let (mut low, mut high) = (0, offs.len() - 1);
    while high - low > 2 * NEAR {
        let share = (x - offs[low]) / (offs[high] - offs[low]);
        let guess = (low + (share * (high - low) as f64) as usize).clamp(low + 1, high - 1);
        let before = (low, high);
        if offs[guess] < x {
            low = guess;
            let beyond = (guess + NEAR).min(high);
            (low, high) = if offs[beyond] < x { (beyond, high) } else { (low, beyond) };
        } else {
            high = guess;
            let beyond = guess.saturating_sub(NEAR).max(low);
            (low, high) = if offs[beyond] < x { (beyond, high) } else { (low, beyond) };
        }
        if high - low > (before.1 - before.0) / 2 {
            let middle = low + (high - low) / 2;
            (low, high) = if offs[middle] < x { (middle, high) } else { (low, middle) };
        }
    }
    low + offs[low..high].partition_point(|&off| off < x).max(1) - 1
}

/// Toward zero by `off`, and no further.
#[inline(always)]
fn shrunk(v: f64, off: f64) -> f64 {
    v.signum() * (v.abs() - off).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_found_however_it_rises() {
        for power in [0.3, 1.0, 7.0, 60.0] {
            for n in [2, 5, 6, 100, 3001] {
                let mut offs: Vec<f64> = (0..n).map(|i| (f64::from(i) / 9.0).powf(power)).collect();
                for flat in (10..n as usize).step_by(7) {
                    offs[flat] = offs[flat - 1]; // a rate of 0
                }
                for at in (1..n as usize).step_by(3) {
                    let between = [offs[at], 0.5 * (offs[at - 1] + offs[at])];
                    for x in between.into_iter().filter(|&x| x > 0.0 && x <= offs[n as usize - 1]) {
                        assert_eq!(last_below(&offs, x), offs.partition_point(|&off| off < x) - 1, "{power} {n} {at}");
                    }
                }
            }
        }
    }
}
