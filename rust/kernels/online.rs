//! Online: steps by single rows, one after the other.

use super::lanes::Lanes;
use super::walk::{Walk, add_rows, dot, lanes, padded, unpadded};
use super::{Lines, Online, Work};

pub(super) struct ByRows<'a, F> {
    pub lines: Lines<'a>,
    pub steps: Online<'a>,
    pub f: F,
    pub sum: &'a mut f64,
}

impl<F: Fn(f64, usize) -> (f64, f64)> Work for ByRows<'_, F> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        match self.steps.w.len() {
            1..=8 => self.few::<V, 1>(),
            9..=16 => self.few::<V, 2>(),
            17..=24 => self.few::<V, 3>(),
            25..=32 => self.few::<V, 4>(),
            _ => self.many::<V>(),
        }
    }
}

/// Rows whose steps are worked out together.
const AT_ONCE: usize = 8;

/// (q, r) with q < r < 8, four by four.
const PAIRS: [[(usize, usize); 4]; 7] = {
    let (mut pairs, mut count, mut r) = ([[(0, 0); 4]; 7], 0, 0);
    while r < AT_ONCE {
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

impl<F: Fn(f64, usize) -> (f64, f64)> ByRows<'_, F> {
    /// With w in registers: C lanes, the last of which need not be full.
    #[inline(always)]
    fn few<V: Lanes, const C: usize>(self) {
        let ByRows { lines, steps, f, sum } = self;
        let Online { w, b, rates, implicit, tail } = steps;
        let d = w.len();
        let walk = Walk::new(lines, d);
        let mut state = State {
            w: padded::<V, C>(w),
            b: b.first().copied().unwrap_or(0.0),
            one: b.len() as f64,
            tail: padded::<V, C>(&tail[..tail.len().min(d)]),
            tail_b: tail.get(d).copied().unwrap_or(0.0),
            averaged: !tail.is_empty(),
            implicit,
        };
        let count = walk.count.min(rates.len());
        let whole = count / AT_ONCE * AT_ONCE;
        for i in (0..whole).step_by(AT_ONCE) {
            state.steps::<F, AT_ONCE>(walk, i, rates, &f, sum);
        }
        for i in whole..count {
            state.steps::<F, 1>(walk, i, rates, &f, sum);
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
        let ByRows { lines, steps, f, sum } = self;
        let Online { w, b, rates, implicit, tail } = steps;
        let walk = Walk::new(lines, w.len());
        for (i, rate) in rates.iter().enumerate().take(walk.count) {
            let x = walk.row(i);
            let product = dot::<V>(x, w, walk.soon(i));
            let (loss, slope) = f(product + b.iter().sum::<f64>(), i);
            let mut step = rate * slope;
            if implicit != 0.0 {
                step /= 1.0 + rate * implicit * (dot::<V>(x, x, x.as_ptr()) + b.len() as f64);
            }
            add_rows::<V, 1>(w, [-step], [x]);
            b.iter_mut().for_each(|b| *b -= step);
            for (tail, theta) in tail.iter_mut().zip(w.iter().chain(&*b)) {
                *tail += theta;
            }
            *sum += loss;
        }
    }
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
    implicit: f64,
}

impl<V: Lanes, const C: usize> State<V, C> {
    /// M steps, by the rows from i on. With p_r = x_r . w + b before the first of them, raw_r is p_r less the sum of
    /// step_q (x_q . x_r + 1) over the steps before it: so a step waits for one number, not for all of w.
    #[inline(always)]
    fn steps<F: Fn(f64, usize) -> (f64, f64), const M: usize>(
        &mut self,
        walk: Walk,
        i: usize,
        rates: &[f64],
        f: &F,
        sum: &mut f64,
    ) {
        let (mut x, rates) = ([[V::zero(); C]; M], &rates[i..i + M]);
        for (r, x) in x.iter_mut().enumerate() {
            *x = lanes::<V, C>(walk.row(i + r));
        }
        let mut raw = self.products(&x);
        let (mut shared, mut squares) = ([[0.0; AT_ONCE]; AT_ONCE], [0.0; M]);
        for pairs in PAIRS.iter().take(M * (M - 1) / 8) {
            let mut sums = [V::zero(); 4];
            for (sum, &(q, r)) in sums.iter_mut().zip(pairs) {
                for (a, b) in x[q].iter().zip(&x[r]) {
                    *sum = sum.add_product(*a, *b);
                }
            }
            for (total, &(q, r)) in V::totals(sums).into_iter().zip(pairs) {
                shared[q][r] = total + self.one;
            }
        }
        if self.implicit != 0.0 {
            for r in 0..M {
                let mut square = V::zero();
                for x in x[r] {
                    square = square.add_product(x, x);
                }
                squares[r] = self.implicit * (square.total() + self.one);
            }
        }
        // the latest step comes from a number, the ones before it from lanes that have had time to get there
        let (mut steps, mut lanes, mut latest) = ([0.0; M], V::load(&raw), 0.0);
        for r in 0..M {
            walk.ask(i + r); // one by one, so that none waits for the others
            let before = &shared[r.saturating_sub(1)];
            let (loss, slope) = f(V::add_one(raw[r], -latest, before[r]), i + r);
            let step = rates[r] * slope;
            steps[r] = if self.implicit == 0.0 { step } else { step / (1.0 + rates[r] * squares[r]) };
            lanes = lanes.add_product(V::splat(-latest), V::load(before));
            lanes.store(&mut raw);
            latest = steps[r];
            *sum += loss;
        }
        self.go(&x, &steps);
    }

    /// x_r . w + b
    #[inline(always)]
    fn products<const M: usize>(&self, x: &[[V; C]; M]) -> [f64; AT_ONCE] {
        let mut sums = [V::zero(); AT_ONCE];
        for (sum, x) in sums.iter_mut().zip(x) {
            for (x, w) in x.iter().zip(&self.w) {
                *sum = sum.add_product(*x, *w);
            }
        }
        let mut raw = [self.b; AT_ONCE];
        for (raw, sums) in raw.as_chunks_mut::<4>().0.iter_mut().zip(sums.as_chunks::<4>().0).take(M.div_ceil(4)) {
            for (raw, total) in raw.iter_mut().zip(V::totals(*sums)) {
                *raw += total;
            }
        }
        raw
    }

    /// Takes the steps: their sum from w, and from the tail's sum each as often as it was there.
    #[inline(always)]
    fn go<const M: usize>(&mut self, x: &[[V; C]; M], steps: &[f64; M]) {
        let (before, before_b) = (self.w, self.b);
        let mut moved = [[V::zero(); C]; 2];
        for r in 0..M {
            for c in 0..C {
                moved[r % 2][c] = moved[r % 2][c].add_product(V::splat(-steps[r]), x[r][c]);
            }
        }
        for (w, (even, odd)) in self.w.iter_mut().zip(moved[0].into_iter().zip(moved[1])) {
            *w = w.add(even.add(odd));
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
