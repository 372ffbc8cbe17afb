//! Online: steps by single rows, one after the other.

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, add_rows, add_stored, dot, lanes, left, load, padded, stored, unpadded};
use super::{Element, Lines, Online, TURN, Turn, Work};

pub(super) struct ByRows<'a, 'f, T> {
    pub lines: Lines<'a, T>,
    pub line: Online<'a>,
    pub steps: &'a mut (dyn FnMut(&mut Turn) + 'f),
}

impl<T: Element> Work for ByRows<'_, '_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        match self.line.w.len() {
            1..=8 => self.few::<V, 1>(),
            9..=16 => self.few::<V, 2>(),
            17..=24 => self.few::<V, 3>(),
            25..=32 => self.few::<V, 4>(),
            _ => self.many::<V>(),
        }
    }
}

/// (q, r) with q < r < 8, four by four.
const PAIRS: [[(usize, usize); 4]; 7] = {
    let (mut pairs, mut count, mut r) = ([[(0, 0); 4]; 7], 0, 0);
    while r < TURN {
        let mut q = 0;
        while q < r {
            pairs[count / 4][count % 4] = (q, r);
            count += 1;
            q += 1;
        }
        r += 1;
    }
    pairs
};

impl<T: Element> ByRows<'_, '_, T> {
    /// With w in registers: C lanes, the last of which need not be full.
    #[inline(always)]
    fn few<V: Lanes, const C: usize>(self) {
        let ByRows { lines, line, steps } = self;
        let Online { w, b, squares, tail } = line;
        let d = w.len();
        let walk = Walk::new(lines, d);
        let mut state = State {
            w: padded::<V, C>(w),
            b: b.first().copied().unwrap_or(0.0),
            one: b.len() as f64,
            tail: padded::<V, C>(&tail[..tail.len().min(d)]),
            tail_b: tail.get(d).copied().unwrap_or(0.0),
            averaged: !tail.is_empty(),
            squares,
        };
        let mut turn = Turn::default();
        let whole = match T::half(&[]) {
            Some(_) => 0, // what is rounded after every step has to be there
            None => walk.count / TURN * TURN,
        };
        turn.count = TURN;
        for i in (0..whole).step_by(TURN) {
            turn.first = i;
            state.go::<T, TURN>(walk, &mut turn, steps);
        }
        turn.count = 1;
        for i in whole..walk.count {
            turn.first = i;
            state.go::<T, 1>(walk, &mut turn, steps);
        }
        unpadded(state.w, w);
        if !tail.is_empty() {
            unpadded(state.tail, &mut tail[..d]);
        }
        b.iter_mut().for_each(|b| *b = state.b);
        tail.iter_mut().skip(d).for_each(|tail| *tail = state.tail_b);
    }

    /// With w in memory.
    #[inline(always)]
    fn many<V: Lanes>(self) {
        let ByRows { lines, line, steps } = self;
        let Online { w, b, squares, tail } = line;
        let (walk, mut turn) = (Walk::new(lines, w.len()), Turn { count: 1, ..Turn::default() });
        for i in 0..walk.count {
            let x = walk.row(i);
            turn.first = i;
            turn.raw[0] = dot::<V, T>(x, w, walk.soon(i)) + b.iter().sum::<f64>();
            if squares {
                turn.square[0] = square::<V, T>(x) + b.len() as f64;
            }
            steps(&mut turn);
            add_rows::<V, T, 1>(w, [-turn.steps[0]], [x], None);
            b.iter_mut().for_each(|b| *b -= turn.steps[0]);
            for (tail, theta) in tail.iter_mut().zip(w.iter().chain(&*b)) {
                *tail += theta;
            }
        }
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

/// Where steps by single rows have come to.
struct State<V, const C: usize> {
    w: [V; C],
    b: f64,
    /// 1 with an intercept, else 0.
    one: f64,
    tail: [V; C],
    tail_b: f64,
    averaged: bool,
    squares: bool,
}

impl<V: Lanes, const C: usize> State<V, C> {
    /// M steps. With p_r = x_r . w + b before the first of them, raw_r is p_r less the sum of step_q (x_q . x_r + 1)
    /// over the steps before it: so a step waits for one number, not for all of w.
    #[inline(always)]
    fn go<T: Element, const M: usize>(&mut self, walk: Walk<T>, turn: &mut Turn, steps: &mut dyn FnMut(&mut Turn)) {
        let (mut x, i) = ([[V::zero(); C]; M], turn.first);
        for (r, x) in x.iter_mut().enumerate() {
            *x = lanes::<V, T, C>(walk.row(i + r));
        }
        turn.raw = self.products::<T, M>(&x);
        for pairs in PAIRS.iter().take(M * (M - 1) / 8) {
            let mut sums = [V::zero(); 4];
            for (sum, &(q, r)) in sums.iter_mut().zip(pairs) {
                for (a, b) in x[q].iter().zip(&x[r]) {
                    *sum = sum.add_product(*a, *b);
                }
            }
            for (total, &(q, r)) in V::totals(sums).into_iter().zip(pairs) {
                turn.shared[q][r] = total + self.one;
            }
        }
        if self.squares {
            let mut sums = [V::zero(); TURN];
            for (sum, x) in sums.iter_mut().zip(&x) {
                for x in x {
                    *sum = sum.add_product(*x, *x);
                }
            }
            for (squares, sums) in turn.square.as_chunks_mut::<4>().0.iter_mut().zip(sums.as_chunks::<4>().0) {
                *squares = V::totals(*sums).map(|total| total + self.one);
            }
        }
        walk.ask::<M>(i);
        steps(turn);
        let mut taken = [0.0; M];
        taken.copy_from_slice(&turn.steps[..M]);
        self.step::<T, M>(&x, &taken);
    }

    /// x_r . w + b
    #[inline(always)]
    fn products<T: Element, const M: usize>(&self, x: &[[V; C]; M]) -> [f64; TURN] {
        let mut sums = [V::zero(); TURN];
        for (sum, x) in sums.iter_mut().zip(x) {
            for (x, w) in x.iter().zip(&self.w) {
                *sum = add_stored::<V, T>(*sum, *x, *w);
            }
        }
        let mut raw = [self.b; TURN];
        for (raw, sums) in raw.as_chunks_mut::<4>().0.iter_mut().zip(sums.as_chunks::<4>().0).take(M.div_ceil(4)) {
            for (raw, total) in raw.iter_mut().zip(V::totals(*sums)) {
                *raw += total;
            }
        }
        raw
    }

    /// Takes the steps: their sum from w, and from the tail's sum each as often as it was there.
    #[inline(always)]
    fn step<T: Element, const M: usize>(&mut self, x: &[[V; C]; M], steps: &[f64; M]) {
        let (before, before_b) = (self.w, self.b);
        let mut moved = [[V::zero(); C]; 2];
        for r in 0..M {
            for c in 0..C {
                moved[r % 2][c] = moved[r % 2][c].add_product(V::splat(-steps[r]), x[r][c]);
            }
        }
        for (w, (even, odd)) in self.w.iter_mut().zip(moved[0].into_iter().zip(moved[1])) {
            *w = stored::<V, T>(w.add(even.add(odd)));
        }
        if self.one != 0.0 {
            self.b -= steps.iter().sum::<f64>();
        }
        if self.averaged {
            for c in 0..C {
                let mut sum = V::splat(M as f64);
                sum = self.tail[c].add_product(sum, before[c]);
                for r in 0..M {
                    sum = sum.add_product(V::splat(-((M - r) as f64) * steps[r]), x[r][c]);
                }
                self.tail[c] = sum;
            }
            if self.one != 0.0 {
                let back: f64 = (0..M).map(|r| (M - r) as f64 * steps[r]).sum();
                self.tail_b += M as f64 * before_b - back;
            }
        }
    }
}

pub(super) struct Steps<'a, F> {
    pub turn: &'a mut Turn,
    pub sum: &'a mut f64,
    pub f: F,
}

impl<F: Fn(f64, usize) -> (f64, f64)> Work for Steps<'_, F> {
    /// The latest step comes from a number, the ones before it from lanes that have had time to get there.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Steps { turn, sum, f } = self;
        let (mut raw, mut lanes, mut latest) = (turn.raw, V::load(&turn.raw), 0.0);
        for r in 0..turn.count.min(TURN) {
            let before = &turn.shared[r.saturating_sub(1)];
            let found = V::add_one(raw[r], -latest, before[r]);
            let (loss, step) = f(found, r);
            lanes = lanes.add_product(V::splat(-latest), V::load(before));
            lanes.store(&mut raw);
            (turn.raw[r], turn.steps[r]) = (found, step);
            latest = step;
            *sum += loss;
        }
    }
}

pub(super) struct Scaled<'a> {
    pub turn: &'a mut Turn,
    pub scale: &'a [f64; TURN],
    pub after: &'a [f64; TURN],
    pub one: f64,
}

impl Work for Scaled<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Scaled { turn, scale, after, one } = self;
        let scale = V::load(scale);
        for (shared, after) in turn.shared.iter_mut().zip(after) {
            let ratio = V::zero().add_product(scale, V::splat(1.0 / after));
            V::splat(one).add_product(V::load(shared), ratio).store(shared);
        }
    }
}
