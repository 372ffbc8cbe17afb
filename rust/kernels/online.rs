//! Online: steps by single rows that take turns.

use super::lanes::{LANES, Lanes};
use super::{Bond, Online, Pieces, Queue, Series, TURN, Turn, Work};

/// Features up to which rows take turns, however they are stored, so that this changes no bit. To know how rows of a
/// turn lie to each other costs more than to wait for each step, where they are long: sooner, if one output alone asks.
pub(super) const SHORT: usize = 24;
pub(super) const SHORT_OF_MANY: usize = 128;
/// Lanes of so many.
const MOST: usize = SHORT / LANES;

/// What rows of a turn are to each other, from their lanes.
pub(super) struct Bind<'a> {
    pub rows: &'a [[f64; LANES]],
    pub d: usize,
    pub squares: bool,
    pub bonds: &'a mut [Bond],
}

impl Work for Bind<'_> {
    /// Eight columns at a time, each of which is multiplied with the numbers of seven rows.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let lanes = self.d.div_ceil(LANES);
        for (rows, bond) in self.rows.chunks_exact(TURN * lanes).zip(self.bonds) {
            let (mut shared, mut square) = ([V::zero(); TURN - 1], V::zero());
            for c in 0..lanes {
                let (mut x, mut numbers) = ([V::zero(); TURN], [&rows[c]; TURN]);
                for r in 0..TURN {
                    numbers[r] = &rows[r * lanes + c];
                    x[r] = V::load(numbers[r]);
                }
                let columns = &V::columns(x)[..LANES.min(self.d - c * LANES)];
                for (j, column) in columns.iter().enumerate() {
                    for q in 0..TURN - 1 {
                        shared[q] = shared[q].add_product(V::splat(numbers[q][j]), *column);
                    }
                }
                if self.squares {
                    for column in columns {
                        square = square.add_product(*column, *column);
                    }
                }
            }
            let mut none = V::zero();
            for (q, (out, shared)) in bond.shared.iter_mut().zip(shared).enumerate() {
                let later = V::zero().and_from(q + 1, shared);
                none = none.add_product(later, V::zero());
                later.store(out);
            }
            bond.sound = none.total() == 0.0;
            square.store(&mut bond.square);
        }
    }
}

pub(super) struct InTurns<'a, 'f> {
    pub rows: Queue<'a>,
    pub line: Online<'a>,
    pub steps: &'a mut (dyn FnMut(&mut Turn) + 'f),
}

impl Work for InTurns<'_, '_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        match self.rows.lanes {
            1 => self.by_lanes::<V, 1>(1),
            2 => self.by_lanes::<V, 2>(2),
            lanes => self.by_lanes::<V, MOST>(lanes),
        }
    }
}

impl InTurns<'_, '_> {
    /// Eight steps a turn. With p_r = x_r . w + b before the first of them, raw_r is p_r less the sum of
    /// step_q (x_q . x_r + 1) over the steps before it: so a step waits for one number, not for all of w. Rows whose
    /// products are too large for a number step one by one. At most C lanes.
    #[inline(always)]
    fn by_lanes<V: Lanes, const C: usize>(self, lanes: usize) {
        let InTurns { rows: Queue { rows, bonds, count, .. }, line: Online { w, b, squares, scales, tail }, steps } =
            self;
        let (mut near, mut turn, one) = (Near::<C>::of(w), Turn::default(), b.len() as f64);
        let (tail, tail_b) = tail.split_at_mut(tail.len().min(w.len()));
        let mut near_tail = Near::<C>::of(tail);
        let mut ones = [V::zero(); TURN];
        for (q, ones) in ones.iter_mut().enumerate() {
            *ones = V::zero().and_from(q + 1, V::splat(one));
        }
        for ((first, x), bond) in (0..count).step_by(TURN).zip(rows.chunks_exact(TURN * lanes)).zip(bonds) {
            (turn.first, turn.count, turn.steps) = (first, TURN.min(count - first), [0.0; TURN]);
            let scale = Scale::<V>::of(scales, first, turn.count);
            if !bond.sound {
                for r in 0..turn.count {
                    (turn.first, turn.count) = (first + r, 1);
                    near.one::<V>(&x[r * lanes..][..lanes], &mut turn, b, squares, scale.at(r), steps);
                    near_tail.add::<V>(1.0, &near);
                    tail_b.iter_mut().zip(&*b).for_each(|(tail, b)| *tail += b);
                }
                continue;
            }
            let raw = V::splat(b.iter().sum()).add_product(near.dots::<V>(x, lanes), scale.before);
            raw.store(&mut turn.raw);
            for (q, (told, shared)) in turn.shared.iter_mut().zip(&bond.shared).enumerate() {
                let ratio = if scales.is_empty() { V::splat(1.0) } else { scale.ratio(q) };
                ones[q].add_product(V::load(shared), ratio).store(told);
            }
            if squares {
                V::splat(one).add(V::load(&bond.square)).store(&mut turn.square);
            }
            steps(&mut turn);
            let back = V::zero().minus(V::load(&turn.steps));
            if !tail.is_empty() {
                let mut often = [0.0; TURN];
                for (r, often) in often.iter_mut().enumerate().take(turn.count) {
                    *often = (turn.count - r) as f64;
                }
                let often = V::zero().add_product(back, V::load(&often));
                near_tail.add::<V>(turn.count as f64, &near);
                near_tail.add_rows::<V>(often, x, lanes);
                let back = often.total();
                tail_b.iter_mut().zip(&*b).for_each(|(tail, b)| *tail += turn.count as f64 * b + back);
            }
            near.add_rows::<V>(V::zero().add_product(back, scale.inverse), x, lanes);
            for b in b.iter_mut() {
                turn.steps.iter().for_each(|step| *b -= step); // in order, so that its last bit is that of single steps
            }
        }
        near.put(w);
        near_tail.put(tail);
    }
}

/// Numbers of so many features in at most C lanes, and zeros.
#[repr(C, align(64))]
struct Near<const C: usize> {
    lanes: [[f64; LANES]; C],
}

impl<const C: usize> Near<C> {
    #[inline(always)]
    fn of(values: &[f64]) -> Self {
        let mut lanes = [[0.0; LANES]; C];
        for (lanes, values) in lanes.as_flattened_mut().iter_mut().zip(values) {
            *lanes = *values;
        }
        Near { lanes }
    }

    #[inline(always)]
    fn put(&self, values: &mut [f64]) {
        for (values, lanes) in values.iter_mut().zip(self.lanes.as_flattened()) {
            *values = *lanes;
        }
    }

    /// x_r . these of eight rows, a lane being a row.
    #[inline(always)]
    fn dots<V: Lanes>(&self, x: &[[f64; LANES]], lanes: usize) -> V {
        let (x, mut sums) = (&x[..TURN * lanes], [V::zero(); TURN]);
        for c in 0..lanes {
            let near = V::load(&self.lanes[c]);
            for r in 0..TURN {
                sums[r] = sums[r].add_product(V::load(&x[r * lanes + c]), near);
            }
        }
        V::sums(sums)
    }

    /// += the sum of slope times x over eight rows, even ones and odd ones in chains of their own
    #[inline(always)]
    fn add_rows<V: Lanes>(&mut self, slopes: V, x: &[[f64; LANES]], lanes: usize) {
        let (x, mut splat, mut stored) = (&x[..TURN * lanes], [V::zero(); TURN], [0.0; TURN]);
        slopes.store(&mut stored);
        for r in 0..TURN {
            splat[r] = V::splat(stored[r]);
        }
        for c in 0..lanes {
            let mut sums = [V::load(&self.lanes[c]), V::zero()];
            for r in 0..TURN {
                sums[r % 2] = sums[r % 2].add_product(splat[r], V::load(&x[r * lanes + c]));
            }
            sums[0].add(sums[1]).store(&mut self.lanes[c]);
        }
    }

    /// += c other
    #[inline(always)]
    fn add<V: Lanes>(&mut self, c: f64, other: &Self) {
        for (lanes, other) in self.lanes.iter_mut().zip(&other.lanes) {
            V::load(lanes).add_product(V::splat(c), V::load(other)).store(lanes);
        }
    }

    /// The step of a single row, with the scales of coefficients before it and after it.
    #[inline(always)]
    fn one<V: Lanes>(
        &mut self,
        x: &[[f64; LANES]],
        turn: &mut Turn,
        b: &mut [f64],
        squares: bool,
        (before, after): (f64, f64),
        steps: &mut dyn FnMut(&mut Turn),
    ) {
        let mut sums = [V::zero(); 2];
        for (x, near) in x.iter().zip(&self.lanes) {
            let x = V::load(x);
            sums = [sums[0].add_product(x, V::load(near)), sums[1].add_product(x, x)];
        }
        turn.raw[0] = before * sums[0].total() + b.iter().sum::<f64>();
        turn.square[0] = if squares { sums[1].total() + b.len() as f64 } else { 0.0 };
        steps(turn);
        let back = V::splat(-turn.steps[0] / after);
        for (x, near) in x.iter().zip(&mut self.lanes) {
            V::load(near).add_product(back, V::load(x)).store(near);
        }
        b.iter_mut().for_each(|b| *b -= turn.steps[0]);
    }
}

/// Scales of coefficients before each row of a turn, and 1 over those after it.
struct Scale<'a, V> {
    before: V,
    inverse: V,
    inverses: [f64; TURN],
    /// Before each and after the last; empty for all ones.
    each: &'a [f64],
}

impl<'a, V: Lanes> Scale<'a, V> {
    /// Of so many rows from i on, and 1 for others.
    #[inline(always)]
    fn of(scales: &'a [f64], i: usize, count: usize) -> Self {
        let (one, mut inverses) = (V::splat(1.0), [1.0; TURN]);
        if scales.is_empty() {
            return Scale { before: one, inverse: one, inverses, each: scales };
        }
        let each = &scales[i..=i + count];
        let (before, after) = match (each.first_chunk(), each.last_chunk()) {
            (Some(before), Some(after)) if count == TURN => (V::load(before), V::load(after)),
            _ => (ones_behind(&each[..count]), ones_behind(&each[1..])),
        };
        let inverse = one.over(after);
        inverse.store(&mut inverses);
        Scale { before, inverse, inverses, each }
    }

    /// Of coefficients when each row comes, to those after row q.
    #[inline(always)]
    fn ratio(&self, q: usize) -> V {
        V::zero().add_product(self.before, V::splat(self.inverses[q]))
    }

    /// Before row r and after it.
    #[inline(always)]
    fn at(&self, r: usize) -> (f64, f64) {
        if self.each.is_empty() { (1.0, 1.0) } else { (self.each[r], self.each[r + 1]) }
    }
}

/// Up to eight numbers, and ones behind them.
#[inline(always)]
fn ones_behind<V: Lanes>(numbers: &[f64]) -> V {
    let mut all = [1.0; TURN];
    for (all, number) in all.iter_mut().zip(numbers) {
        *all = *number;
    }
    V::load(&all)
}

pub(super) struct Steps<'a, const K: usize, S, F> {
    pub turn: &'a mut Turn,
    pub series: S,
    pub f: F,
}

impl<const K: usize, S, F> Work for Steps<'_, K, S, F>
where
    S: Series<K>,
    F: Fn(f64, usize) -> f64,
{
    /// The latest step comes from a number, the ones before it from lanes that have had time to get there. What was
    /// found is kept in lanes, too: whoever loads lanes waits for numbers that were stored one by one. With a series it
    /// is by how much that is away from where the series begins.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Steps { turn, series, f } = self;
        let (start, mut terms) = (turn.raw, [[0.0; TURN]; K]);
        for r in 0..TURN {
            let c = series.around(start[r], r);
            for k in 0..K {
                terms[k][r] = c[k];
            }
        }
        let (from, mut found) = if K == 0 { ([0.0; TURN], start) } else { (start, [0.0; TURN]) };
        let (mut lanes, mut latest, mut steps) = (V::load(&found), 0.0, V::zero());
        for r in 0..TURN {
            let before = &turn.shared[r.saturating_sub(1)];
            let away = V::add_one(found[r], -latest, before[r]);
            lanes = lanes.add_product(V::splat(-latest), V::load(before));
            lanes.store(&mut found);
            latest = if K > 0 && away.abs() <= S::REACH {
                sum_of::<V, K>(std::array::from_fn(|k| terms[k][r]), away)
            } else {
                f(if K == 0 { away } else { from[r] + away }, r)
            };
            steps = steps.and_from(r, V::splat(latest));
        }
        let raw = if K == 0 { lanes } else { lanes.add(V::load(&from)) };
        raw.store(&mut turn.raw);
        steps.store(&mut turn.steps);
    }
}

pub(super) struct Straight<'a, const BENT: bool, P, F> {
    pub turn: &'a mut Turn,
    pub pieces: P,
    pub f: F,
}

impl<const BENT: bool, P, F> Work for Straight<'_, BENT, P, F>
where
    P: Pieces,
    F: Fn(f64, usize) -> f64,
{
    /// As if every row stayed on the piece where its prediction before the turn is: where steps are level they are
    /// known at once, else the latest is one multiplication away from the one before. Whether that was right is looked
    /// at in the end, and nobody waits for it. Where it was not, the turns that follow do without.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Straight { turn, pieces, f } = self;
        if turn.strays {
            return Steps { turn, series: (), f }.run::<V>();
        }
        let (mut steps, mut bends, mut reach) = ([0.0; TURN], [0.0; TURN], [0.0; TURN]);
        for (r, step) in steps.iter_mut().enumerate() {
            *step = pieces.step(turn.raw[r], r);
        }
        if BENT {
            for (r, bend) in bends.iter_mut().enumerate() {
                *bend = pieces.bend(turn.raw[r], r);
            }
        }
        for (r, reach) in reach.iter_mut().enumerate() {
            *reach = pieces.reach(turn.raw[r], r);
        }
        let (bends, mut steps, mut away) = (V::load(&bends), V::load(&steps), V::zero());
        for (q, shared) in turn.shared[..TURN - 1].iter().enumerate() {
            let (back, latest) = (V::zero().minus(V::load(shared)), steps.lane(q));
            if BENT {
                steps = steps.add_product(latest, V::zero().add_product(back, bends));
            }
            away = away.add_product(latest, back);
        }
        if away.within(V::load(&reach)) {
            V::load(&turn.raw).add(away).store(&mut turn.raw);
            steps.store(&mut turn.steps);
        } else {
            turn.strays = true;
            Steps { turn, series: (), f }.run::<V>();
        }
    }
}

/// sum_k c_k x^k, even powers and odd ones in chains of their own.
#[inline(always)]
fn sum_of<V: Lanes, const K: usize>(c: [f64; K], x: f64) -> f64 {
    let (mut sums, square) = ([0.0; 2], x * x);
    for k in (0..K).rev() {
        sums[k % 2] = if k + 2 < K { V::add_one(c[k], sums[k % 2], square) } else { c[k] };
    }
    V::add_one(sums[0], sums[1], x)
}
