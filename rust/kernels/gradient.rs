//! Gradient: predictions, losses and the gradient of rows, a few of them at a time, for one output. The rows are read
//! from memory for the first and from the cache for the last.

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, add_rows, dots, lanes, unpadded};
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
            1 => self.single::<V>(),
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
        self.sums.1 += sum.total() + rest.iter().sum::<f64>();
    }

    /// One feature: eight rows are a lane.
    #[inline(always)]
    fn single<V: Lanes>(&mut self) {
        let (walk, w) = (Walk::new(self.lines, 1), V::splat(self.w[0]));
        let (mut x, mut raw, mut sum) = ([0.0; GROUP], [0.0; GROUP], V::zero());
        for first in (0..walk.count).step_by(GROUP) {
            let count = GROUP.min(walk.count - first);
            let padded = count.next_multiple_of(LANES);
            if walk.at.is_none() && walk.stride == 1 {
                x.iter_mut().zip(&walk.values[first..][..count]).for_each(|(x, &value)| *x = value.into());
            } else {
                for (i, x) in (first..).zip(&mut x[..count]) {
                    walk.ask::<1>(i);
                    *x = walk.row(i)[0].into();
                }
            }
            let (lanes, _) = x[..padded].as_chunks::<LANES>();
            for (x, raw) in lanes.iter().zip(raw.as_chunks_mut().0) {
                V::splat(self.b).add_product(V::load(x), w).store(raw);
            }
            self.slopes::<V>(first, &mut raw[..count]);
            raw[count..padded].fill(0.0);
            for (x, raw) in lanes.iter().zip(raw.as_chunks().0) {
                sum = sum.add_product(V::load(x), V::load(raw));
            }
        }
        self.grad[0] += sum.total();
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
            let raw = &mut raw[..group.min(walk.count - first)];
            let (many, rest) = raw.as_chunks_mut::<M>();
            let whole = first + many.len() * M;
            for (i, raw) in (first..).step_by(M).zip(many) {
                *raw = dots::<V, T, M>(std::array::from_fn(|r| walk.row(i + r)), self.w, walk.asks(i));
            }
            for (i, raw) in (whole..).zip(rest) {
                [*raw] = dots::<V, T, 1>([walk.row(i)], self.w, walk.asks(i));
            }
            raw.iter_mut().for_each(|raw| *raw += self.b);
            self.slopes::<V>(first, raw);
            let (many, rest) = raw.as_chunks::<M>();
            for (i, raw) in (first..).step_by(M).zip(many) {
                add_rows::<V, T, M>(self.grad, *raw, std::array::from_fn(|r| walk.row(i + r)), walk.asks(i));
            }
            for (i, raw) in (whole..).zip(rest) {
                add_rows::<V, T, 1>(self.grad, [*raw], [walk.row(i)], walk.asks(i));
            }
        }
    }
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
