//! Online: steps by single rows, one after the other.

use std::ops::Range;

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, add_rows, dot, left, load, load_part};
use super::{Element, LINE, Lines, Online, TURN, Turn, Work, ask};

/// Features up to which rows take turns, however they are stored, so that this changes no bit. To know how rows of a
/// turn lie to each other costs more than to wait for each step, where they are long.
const SHORT: usize = 128;
/// Features up to which memory for later rows is asked for at once, while the steps wait for each other; else line by
/// line, half of it with the products and half with the steps.
const NEAR_BY: usize = 48;

pub(super) struct ByRows<'a, 'f, T> {
    pub lines: Lines<'a, T>,
    pub line: Online<'a>,
    pub steps: &'a mut (dyn FnMut(&mut Turn) + 'f),
}

impl<T: Element> Work for ByRows<'_, '_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        if self.line.w.len() <= SHORT { self.in_turns::<V>() } else { self.alone::<V>() }
    }
}

impl<T: Element> ByRows<'_, '_, T> {
    /// Eight steps a turn. With p_r = x_r . w + b before the first of them, raw_r is p_r less the sum of
    /// step_q (x_q . x_r + 1) over the steps before it: so a step waits for one number, not for all of w. Where rows
    /// run out, the last one makes up the number, without a step. Rows whose products are too large for a number step
    /// one by one.
    #[inline(always)]
    fn in_turns<V: Lanes>(mut self) {
        let (d, walk, mut turn) = (self.line.w.len(), Walk::new(self.lines, self.line.w.len()), Turn::default());
        let of_w = self.line.tail.len().min(d);
        let (mut near, mut near_tail) = (Near::of(self.line.w), Near::of(&self.line.tail[..of_w]));
        for i in (0..walk.count).step_by(TURN) {
            (turn.first, turn.count, turn.steps) = (i, TURN.min(walk.count - i), [0.0; TURN]);
            let x: [&[T]; TURN] = std::array::from_fn(|r| walk.row(i + r.min(turn.count - 1)));
            let soon = if turn.count == TURN && d > NEAR_BY { walk.asks(i) } else { None };
            let squares = self.line.squares;
            let (sums, scale) = (Sums::<V>::of(&x, &near, squares, soon), Scale::<V>::of(self.line.scales, i));
            if !sums.tell(&mut turn, self.line.b, squares, &scale) {
                near.put(self.line.w);
                near_tail.put(&mut self.line.tail[..of_w]);
                for i in i..i + turn.count {
                    self.one::<V>(walk, i, &mut turn);
                }
                (near, near_tail) = (Near::of(self.line.w), Near::of(&self.line.tail[..of_w]));
                continue;
            }
            if d <= NEAR_BY {
                walk.ask::<TURN>(i);
            }
            (self.steps)(&mut turn);
            let (mut taken, mut back) = ([0.0; TURN], [0.0; TURN]);
            for r in 0..TURN {
                // one by one, as lanes wait for numbers that were stored alone
                taken[r] = if r < turn.count { -turn.steps[r] * scale.inverse[r] } else { 0.0 };
                back[r] = (turn.count.max(r) - r) as f64 * -turn.steps[r];
            }
            let Online { b, tail, .. } = &mut self.line;
            if !tail.is_empty() {
                near_tail.add::<V>(turn.count as f64, &near);
                near_tail.add_rows::<V, T>(back, x, None);
                let back: f64 = back.iter().sum();
                tail[d..].iter_mut().zip(&**b).for_each(|(tail, b)| *tail += turn.count as f64 * b + back);
            }
            near.add_rows::<V, T>(taken, x, soon);
            for b in b.iter_mut() {
                turn.steps.iter().for_each(|step| *b -= step); // in order, so that its last bit is that of single steps
            }
        }
        near.put(self.line.w);
        near_tail.put(&mut self.line.tail[..of_w]);
    }

    /// Each row sees what all before it have done.
    #[inline(always)]
    fn alone<V: Lanes>(mut self) {
        let (walk, mut turn) = (Walk::new(self.lines, self.line.w.len()), Turn::default());
        for i in 0..walk.count {
            self.one::<V>(walk, i, &mut turn);
        }
    }

    /// The step of row i.
    #[inline(always)]
    fn one<V: Lanes>(&mut self, walk: Walk<T>, i: usize, turn: &mut Turn) {
        let Online { w, b, squares, scales, tail } = &mut self.line;
        let (x, scale, after) = (walk.row(i), scales.get(i).unwrap_or(&1.0), scales.get(i + 1).unwrap_or(&1.0));
        (turn.first, turn.count) = (i, 1);
        turn.raw[0] = scale * dot::<V, T>(x, w, walk.soon(i)) + b.iter().sum::<f64>();
        if *squares {
            turn.square[0] = square::<V, T>(x) + b.len() as f64;
        }
        (self.steps)(turn);
        add_rows::<V, T, 1>(w, [-turn.steps[0] / after], [x], None);
        b.iter_mut().for_each(|b| *b -= turn.steps[0]);
        for (tail, theta) in tail.iter_mut().zip(w.iter().chain(&**b)) {
            *tail += theta;
        }
    }
}

/// Numbers of so many features in lanes of their own, the last end-aligned as what is left of a row is: so each is
/// stored as it will be loaded, which else would have to wait.
#[repr(C, align(64))]
struct Near {
    lanes: [[f64; LANES]; SHORT / LANES],
    d: usize,
}

impl Near {
    /// Of none, zeros.
    #[inline(always)]
    fn of(values: &[f64]) -> Self {
        let mut near = Near { lanes: [[0.0; LANES]; SHORT / LANES], d: values.len() };
        let (whole, rest) = values.as_chunks::<LANES>();
        near.lanes[..whole.len()].copy_from_slice(whole);
        if let Some((lanes, of)) = near.rest_mut() {
            lanes[of].copy_from_slice(rest);
        }
        near
    }

    #[inline(always)]
    fn put(&mut self, values: &mut [f64]) {
        let (whole, rest) = values.as_chunks_mut::<LANES>();
        whole.copy_from_slice(self.whole());
        if let Some((lanes, of)) = self.rest_mut() {
            rest.copy_from_slice(&lanes[of]);
        }
    }

    #[inline(always)]
    fn whole(&self) -> &[[f64; LANES]] {
        &self.lanes[..self.d / LANES]
    }

    /// What is no whole lane, and which numbers of one it is.
    #[inline(always)]
    fn rest(&self) -> Option<(&[f64; LANES], Range<usize>)> {
        let lanes = self.lanes.get(self.d / LANES)?;
        Some((lanes, rest_of(self.d)?))
    }

    #[inline(always)]
    fn rest_mut(&mut self) -> Option<(&mut [f64; LANES], Range<usize>)> {
        let lanes = self.lanes.get_mut(self.d / LANES)?;
        Some((lanes, rest_of(self.d)?))
    }

    /// += c other
    #[inline(always)]
    fn add<V: Lanes>(&mut self, c: f64, other: &Near) {
        let (count, c) = (self.d.div_ceil(LANES), V::splat(c));
        for (lanes, other) in self.lanes[..count].iter_mut().zip(&other.lanes) {
            V::load(lanes).add_product(c, V::load(other)).store(lanes);
        }
    }

    /// += the sum of slope times x, even rows and odd ones in chains of their own
    #[inline(always)]
    fn add_rows<V: Lanes, T: Element>(&mut self, slopes: [f64; TURN], x: [&[T]; TURN], soon: Option<[*const T; TURN]>) {
        let (whole, mut splat) = (self.d / LANES, [V::zero(); TURN]);
        for r in 0..TURN {
            splat[r] = V::splat(slopes[r]);
        }
        for c in 0..whole {
            if let (Some(soon), LINE) = (soon, c * LANES * size_of::<T>() % (2 * LINE)) {
                soon.iter().for_each(|soon| ask(soon.wrapping_add(c * LANES).cast(), 1));
            }
            let mut lanes = [V::zero(); TURN];
            for r in 0..TURN {
                lanes[r] = load(&x[r].as_chunks::<LANES>().0[c]);
            }
            sum(&mut self.lanes[c], splat, lanes);
        }
        if let Some(soon) = soon {
            soon.iter().for_each(|soon| ask(soon.wrapping_add(self.d - 1).cast(), 1));
        }
        if let Some((rest, _)) = self.rest_mut() {
            let mut lanes = [V::zero(); TURN];
            for r in 0..TURN {
                lanes[r] = left(x[r], whole);
            }
            sum(rest, splat, lanes);
        }
    }
}

/// Which numbers of its last lane a row has that is no multiple of a lane.
#[inline(always)]
fn rest_of(d: usize) -> Option<Range<usize>> {
    let rest = d % LANES;
    let from = if d > LANES { LANES - rest } else { 0 };
    (rest > 0).then_some(from..from + rest)
}

#[inline(always)]
fn sum<V: Lanes>(into: &mut [f64; LANES], slopes: [V; TURN], lanes: [V; TURN]) {
    let mut sums = [V::load(into), V::zero()];
    for r in 0..TURN {
        sums[r % 2] = sums[r % 2].add_product(slopes[r], lanes[r]);
    }
    sums[0].add(sums[1]).store(into);
}

/// Scales of coefficients before each row of a turn, and 1 over those after it.
struct Scale<V> {
    before: V,
    inverse: [f64; TURN],
}

impl<V: Lanes> Scale<V> {
    /// Of the rows from i on.
    #[inline(always)]
    fn of(scales: &[f64], i: usize) -> Self {
        let mut all = [1.0; TURN + 1];
        if let Some(scales) = scales.get(i..) {
            match scales.first_chunk() {
                Some(scales) => all = *scales,
                None => all[..scales.len()].copy_from_slice(scales),
            }
        }
        let mut inverse = [1.0; TURN];
        if !scales.is_empty() {
            V::splat(1.0).over(load_part::<V, f64>(&all[1..])).store(&mut inverse);
        }
        Scale { before: load_part::<V, f64>(&all[..TURN]), inverse }
    }
}

/// What eight rows are to w and to each other, a lane being a row.
struct Sums<V> {
    /// x_r . w
    raw: V,
    /// x_q . x_r of q in turn; of the last nobody asks.
    shared: [V; TURN - 1],
    square: V,
}

impl<V: Lanes> Sums<V> {
    /// Eight columns at a time, each of which is multiplied with eight numbers; asks for rows that begin `soon`.
    #[inline(always)]
    fn of<T: Element>(x: &[&[T]; TURN], w: &Near, squares: bool, soon: Option<[*const T; TURN]>) -> Self {
        let zero = V::zero();
        let mut sums = Sums { raw: zero, shared: [zero; TURN - 1], square: zero };
        for (c, w_lanes) in w.whole().iter().enumerate() {
            if let (Some(soon), 0) = (soon, c * LANES * size_of::<T>() % (2 * LINE)) {
                soon.iter().for_each(|soon| ask(soon.wrapping_add(c * LANES).cast(), 1));
            }
            let mut lanes = [zero; TURN];
            for r in 0..TURN {
                lanes[r] = load(&x[r].as_chunks::<LANES>().0[c]);
            }
            sums.add(lanes, x.map(|x| &x[c * LANES..][..LANES]), w_lanes, 0..LANES, squares);
        }
        if let Some((w_lanes, of)) = w.rest() {
            let mut lanes = [zero; TURN];
            for r in 0..TURN {
                lanes[r] = left(x[r], w.whole().len());
            }
            sums.add(lanes, x.map(|x| &x[w.d.saturating_sub(LANES)..]), w_lanes, of, squares);
        }
        sums
    }

    /// The columns `of` the lanes; `x` are the rows from the first of the lanes on.
    #[inline(always)]
    fn add<T: Element>(
        &mut self,
        lanes: [V; TURN],
        x: [&[T]; TURN],
        w: &[f64; LANES],
        of: Range<usize>,
        squares: bool,
    ) {
        let (columns, mut stored) = (V::columns(lanes), [[0.0; LANES]; TURN]);
        if T::wide(&[]).is_none() {
            for r in 0..TURN {
                lanes[r].store(&mut stored[r]);
            }
        }
        let x: [&[f64]; TURN] = std::array::from_fn(|r| T::wide(x[r]).unwrap_or(&stored[r]));
        for j in of {
            let column = columns[j];
            self.raw = self.raw.add_product(V::splat(w[j]), column);
            for (shared, x) in self.shared.iter_mut().zip(&x) {
                *shared = shared.add_product(V::splat(x[j]), column);
            }
            if squares {
                self.square = self.square.add_product(column, column);
            }
        }
    }

    /// What the rows are told; whether all products of two of them are numbers.
    #[inline(always)]
    fn tell(&self, turn: &mut Turn, b: &[f64], squares: bool, scale: &Scale<V>) -> bool {
        let (b, one, mut none) = (V::splat(b.iter().sum::<f64>()), V::splat(b.len() as f64), V::zero());
        b.add_product(self.raw, scale.before).store(&mut turn.raw);
        let each = turn.shared.iter_mut().zip(&self.shared).zip(scale.inverse).enumerate();
        for (q, ((told, shared), inverse)) in each {
            let ratio = V::zero().add_product(scale.before, V::splat(inverse));
            let shared = V::zero().and_from(q + 1, one.add_product(*shared, ratio));
            none = none.add_product(shared, V::zero());
            shared.store(told);
        }
        if squares {
            one.add(self.square).store(&mut turn.square);
        }
        none.total() == 0.0
    }
}

/// |x|^2
#[inline(always)]
fn square<V: Lanes, T: Element>(x: &[T]) -> f64 {
    let (mut sums, (whole, rest)) = ([V::zero(); 2], x.as_chunks::<LANES>());
    for (c, x) in whole.iter().enumerate() {
        let x = load::<V, T>(x);
        sums[c % 2] = sums[c % 2].add_product(x, x);
    }
    if !rest.is_empty() {
        let x = left::<V, T>(x, whole.len());
        sums[0] = sums[0].add_product(x, x);
    }
    sums[0].add(sums[1]).total()
}

pub(super) struct Steps<'a, F> {
    pub turn: &'a mut Turn,
    pub f: F,
}

impl<F: Fn(f64, usize) -> f64> Work for Steps<'_, F> {
    /// The latest step comes from a number, the ones before it from lanes that have had time to get there. What was
    /// found is kept in lanes, too: whoever loads lanes waits for numbers that were stored one by one.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Steps { turn, f } = self;
        let (mut raw, mut lanes, mut latest, mut steps) = (turn.raw, V::load(&turn.raw), 0.0, V::zero());
        for r in 0..TURN {
            let before = &turn.shared[r.saturating_sub(1)];
            let found = V::add_one(raw[r], -latest, before[r]);
            lanes = lanes.add_product(V::splat(-latest), V::load(before));
            lanes.store(&mut raw);
            latest = f(found, r);
            steps = steps.and_from(r, V::splat(latest));
        }
        lanes.store(&mut turn.raw);
        steps.store(&mut turn.steps);
    }
}
