//! Gradient: predictions, losses and the gradient of rows, a few of them at a time, for one output. The rows are read
//! from memory for the first and from the cache for the last; single numbers once, as they fit registers.

use super::lanes::{LANES, Lanes};
use super::passes::{eight, weights};
use super::walk::{Walk, add_rows, dots, lanes, load, load_part, unpadded};
use super::{Element, Lines, Slopes, Work};

/// Rows that go through registers together.
const TOGETHER: usize = 4;
/// Rows whose losses are asked for at once, where they are short.
const GROUP: usize = 64;
/// Numbers of them that stay near meanwhile.
const NEAR: usize = 2048;

pub(super) struct Gradient<'a, 'f, T> {
    pub lines: Lines<'a, T>,
    pub w: &'a [f64],
    pub b: f64,
    pub grad: &'a mut [f64],
    pub slopes: Slopes<'a, 'f>,
    /// Of losses and slopes.
    pub sums: &'a mut (f64, f64),
}

impl<T: Element> Work for Gradient<'_, '_, T> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        match self.w.len() {
            1 => self.few::<V, 1>(),
            2 => self.few::<V, 2>(),
            3 => self.few::<V, 3>(),
            4 => self.few::<V, 4>(),
            5..=8 => self.short::<V, 1>(),
            9..=16 => self.short::<V, 2>(),
            17..=24 => self.short::<V, 3>(),
            25..=32 => self.short::<V, 4>(),
            33..=40 => self.short::<V, 5>(),
            _ if V::MANY => self.long::<V, 8>(),
            _ => self.long::<V, 4>(),
        }
    }
}

impl<T: Element> Gradient<'_, '_, T> {
    /// The slopes of the rows from i on in place of their predictions; losses and slopes go into the sums.
    #[inline(always)]
    fn slopes<V: Lanes>(&mut self, i: usize, raw: &mut [f64]) {
        self.sums.0 += (self.slopes)(i, raw);
        let ((whole, rest), mut sum) = (raw.as_chunks::<LANES>(), V::zero());
        for slopes in whole {
            sum = sum.add(V::load(slopes));
        }
        if !rest.is_empty() {
            sum = sum.add(V::load_part(rest));
        }
        self.sums.1 += sum.total();
    }

    /// D features, one number after the other, in two sums.
    #[inline(always)]
    fn few<V: Lanes, const D: usize>(&mut self) {
        let walk = Walk::new(self.lines, D);
        let mut w = [0.0; D];
        w.copy_from_slice(self.w);
        let (mut raw, mut sums) = ([0.0; GROUP], [[0.0; D]; 2]);
        for first in (0..walk.count).step_by(GROUP) {
            let raw = &mut raw[..GROUP.min(walk.count - first)];
            for (i, raw) in (first..).zip(&mut *raw) {
                walk.ask::<1>(i);
                let x = &walk.row(i)[..D];
                *raw = self.b;
                for j in 0..D {
                    *raw = V::add_one(*raw, x[j].into(), w[j]);
                }
            }
            self.slopes::<V>(first, raw);
            for (i, slopes) in (first..).step_by(2).zip(raw.chunks(2)) {
                for (r, slope) in slopes.iter().enumerate() {
                    let x = &walk.row(i + r)[..D];
                    for j in 0..D {
                        sums[r][j] = V::add_one(sums[r][j], *slope, x[j].into());
                    }
                }
            }
        }
        for (grad, (one, other)) in self.grad.iter_mut().zip(sums[0].into_iter().zip(sums[1])) {
            *grad += one + other;
        }
    }

    /// C lanes of features, the last of which need not be full: w and the gradient are in registers, the latter as two
    /// sums, as an addition takes longer than the next row needs.
    #[inline(always)]
    fn short<V: Lanes, const C: usize>(&mut self) {
        let walk = Walk::new(self.lines, self.w.len());
        let w = lanes::<V, f64, C>(self.w);
        let (mut raw, mut grad) = ([0.0; GROUP], [lanes::<V, f64, C>(self.grad), [V::zero(); C]]);
        for first in (0..walk.count).step_by(GROUP) {
            let raw = &mut raw[..GROUP.min(walk.count - first)];
            let (fours, rest) = raw.as_chunks_mut::<TOGETHER>();
            let whole = first + fours.len() * TOGETHER;
            for (i, raw) in (first..).step_by(TOGETHER).zip(fours) {
                if (i - first) % (2 * TOGETHER) == 0 {
                    walk.ask::<TOGETHER>(i);
                }
                let mut sums = [V::zero(); TOGETHER];
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = times(lanes::<V, T, C>(walk.row(i + r)), w);
                }
                *raw = V::totals(sums);
            }
            for (i, raw) in (whole..).zip(rest) {
                walk.ask::<1>(i);
                *raw = times(lanes::<V, T, C>(walk.row(i)), w).total();
            }
            raw.iter_mut().for_each(|raw| *raw += self.b);
            self.slopes::<V>(first, raw);
            let (fours, rest) = raw.as_chunks::<TOGETHER>();
            for (i, slopes) in (first..).step_by(TOGETHER).zip(fours) {
                if (i - first) % (2 * TOGETHER) != 0 {
                    walk.ask::<TOGETHER>(i);
                }
                for (r, slope) in slopes.iter().enumerate() {
                    grad[r % 2] = plus(grad[r % 2], *slope, lanes::<V, T, C>(walk.row(i + r)));
                }
            }
            for (i, slope) in (whole..).zip(rest) {
                grad[0] = plus(grad[0], *slope, lanes::<V, T, C>(walk.row(i)));
            }
        }
        let [mut sum, other] = grad;
        for c in 0..C {
            sum[c] = sum[c].add(other[c]);
        }
        unpadded(sum, self.grad);
    }

    /// Many features: w and the gradient are in memory, and go by once for M rows.
    #[inline(always)]
    fn long<V: Lanes, const M: usize>(&mut self) {
        let d = self.w.len();
        let (walk, mut raw) = (Walk::new(self.lines, d), [0.0; GROUP]);
        let group = (NEAR / d).clamp(M, GROUP) / M * M;
        for first in (0..walk.count).step_by(group) {
            let count = group.min(walk.count - first);
            let raw = &mut raw[..count];
            let (many, rest) = raw.as_chunks_mut::<M>();
            let whole = first + many.len() * M;
            for (i, raw) in (first..).step_by(M).zip(many) {
                let soon = walk.asks(i, first, i - first);
                *raw = dots::<V, T, M>(std::array::from_fn(|r| walk.row(i + r)), self.w, soon);
            }
            for (i, raw) in (whole..).zip(rest) {
                [*raw] = dots::<V, T, 1>([walk.row(i)], self.w, walk.asks(i, first, i - first));
            }
            raw.iter_mut().for_each(|raw| *raw += self.b);
            self.slopes::<V>(first, raw);
            let (many, rest) = raw.as_chunks::<M>();
            for (i, raw) in (first..).step_by(M).zip(many) {
                let soon = walk.asks(i, first, count + i - first);
                add_rows::<V, T, M>(self.grad, *raw, std::array::from_fn(|r| walk.row(i + r)), soon);
            }
            for (i, raw) in (whole..).zip(rest) {
                let soon = walk.asks(i, first, count + i - first);
                add_rows::<V, T, 1>(self.grad, [*raw], [walk.row(i)], soon);
            }
        }
    }
}

pub(super) struct Singles<'a, T, F, G> {
    pub lines: Lines<'a, T>,
    pub w: f64,
    pub b: f64,
    pub y: &'a [f64],
    pub s: &'a [f64],
    pub f: F,
    pub g: G,
    /// Of slopes times x, slopes, and losses.
    pub sums: &'a mut [f64; 3],
}

impl<T: Element, F: Fn(f64, f64) -> f64, G: Fn(f64, f64) -> f64> Work for Singles<'_, T, F, G> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        match (self.lines, self.s.is_empty()) {
            (Lines::Together { stride: 1, .. }, true) => self.by_eight::<V, true, false>(),
            (Lines::Together { stride: 1, .. }, false) => self.by_eight::<V, true, true>(),
            (_, true) => self.by_eight::<V, false, false>(),
            (_, false) => self.by_eight::<V, false, true>(),
        }
    }
}

impl<T: Element, F: Fn(f64, f64) -> f64, G: Fn(f64, f64) -> f64> Singles<'_, T, F, G> {
    /// Eight rows are a lane.
    #[inline(always)]
    fn by_eight<V: Lanes, const TOGETHER: bool, const WEIGHTED: bool>(self) {
        let (walk, mut sums) = (Walk::new(self.lines, 1), [V::zero(); 3]);
        let (y, rest) = self.y[..walk.count].as_chunks::<LANES>();
        let x = if TOGETHER { &walk.values.as_chunks().0[..y.len()] } else { &[] };
        for (c, y) in y.iter().enumerate() {
            let x = if TOGETHER { load(&x[c]) } else { apart(walk, c * LANES, LANES) };
            let [values, slopes] = self.at_lanes::<V, WEIGHTED>(x, y, c * LANES);
            let slopes = V::load(&slopes);
            sums = [sums[0].add_product(x, slopes), sums[1].add(slopes), sums[2].add(V::load(&values))];
        }
        if !rest.is_empty() {
            let (first, count, mut y) = (y.len() * LANES, rest.len(), [0.0; LANES]);
            V::load_part(rest).store(&mut y);
            let x = if TOGETHER { load_part(&walk.values[first..]) } else { apart(walk, first, count) };
            let [values, slopes] = self.at_lanes::<V, WEIGHTED>(x, &y, first);
            let (values, slopes) = (V::load_part(&values[..count]), V::load_part(&slopes[..count]));
            sums = [sums[0].add_product(x, slopes), sums[1].add(slopes), sums[2].add(values)];
        }
        let [products, slopes, values] = sums;
        [self.sums[0], self.sums[1], self.sums[2], _] = V::totals([products, slopes, values, V::zero()]);
    }

    /// Losses and slopes of the rows from the first on.
    #[inline(always)]
    fn at_lanes<V: Lanes, const WEIGHTED: bool>(&self, x: V, y: &[f64; LANES], first: usize) -> [[f64; LANES]; 2] {
        let mut raw = [0.0; LANES];
        V::splat(self.b).add_product(x, V::splat(self.w)).store(&mut raw);
        let s = if WEIGHTED { weights(self.s, 1, first) } else { [1.0; LANES] };
        let (values, slopes) = eight(raw, *y, s, &self.f, &self.g);
        [values, slopes]
    }
}

/// A few rows of one number that lie anyhow.
#[inline(always)]
fn apart<V: Lanes, T: Element>(walk: Walk<T>, first: usize, count: usize) -> V {
    let mut x = [0.0; LANES];
    walk.ask::<LANES>(first);
    x[..count].iter_mut().zip(first..).for_each(|(x, i)| *x = walk.row(i)[0].into());
    V::load(&x)
}

/// The lanes of x . w
#[inline(always)]
fn times<V: Lanes, const C: usize>(x: [V; C], w: [V; C]) -> V {
    let mut sum = V::zero();
    for c in 0..C {
        sum = sum.add_product(x[c], w[c]);
    }
    sum
}

/// sum + slope x
#[inline(always)]
fn plus<V: Lanes, const C: usize>(mut sum: [V; C], slope: f64, x: [V; C]) -> [V; C] {
    let slope = V::splat(slope);
    for c in 0..C {
        sum[c] = sum[c].add_product(slope, x[c]);
    }
    sum
}
