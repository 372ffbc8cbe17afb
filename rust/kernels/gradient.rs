//! Gradient: predictions, losses and the gradient of a block of rows in one pass, for one output.

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, add_rows, dot, lanes, padded, unpadded};
use super::{Lines, Work};

/// Rows that go through registers together.
const TOGETHER: usize = 4;

pub(super) struct Gradient<'a, F> {
    pub lines: Lines<'a>,
    pub w: &'a [f64],
    pub b: f64,
    pub grad: &'a mut [f64],
    pub f: F,
    /// Of losses and slopes.
    pub sums: &'a mut (f64, f64),
}

impl<F: Fn(f64, usize) -> (f64, f64)> Work for Gradient<'_, F> {
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
            _ => self.long::<V>(),
        }
    }
}

impl<F: Fn(f64, usize) -> (f64, f64)> Gradient<'_, F> {
    /// The slopes of some rows from i on, whose losses go into the sum.
    #[inline(always)]
    fn slopes<const M: usize>(&mut self, products: [f64; M], i: usize) -> [f64; M] {
        let (mut losses, mut slopes) = ([0.0; M], [0.0; M]);
        for r in 0..M {
            (losses[r], slopes[r]) = (self.f)(products[r] + self.b, i + r);
        }
        for r in 0..M {
            self.sums.0 += losses[r];
            self.sums.1 += slopes[r];
        }
        slopes
    }

    /// One feature: eight rows are a lane each.
    #[inline(always)]
    fn single<V: Lanes>(&mut self) {
        let (walk, w) = (Walk::new(self.lines, 1), V::splat(self.w[0]));
        let (mut sum, mut losses, mut slopes) = (V::zero(), V::zero(), V::zero());
        let whole = walk.count / LANES * LANES;
        for i in (0..whole).step_by(LANES) {
            let x = if walk.at.is_none() && walk.stride == 1 {
                walk.values[i..].as_chunks().0[0]
            } else {
                let mut x = [0.0; LANES];
                for (l, x) in x.iter_mut().enumerate() {
                    walk.ask(i + l);
                    *x = walk.row(i + l)[0];
                }
                x
            };
            let x = V::load(&x);
            let (mut raw, mut loss) = ([0.0; LANES], [0.0; LANES]);
            V::splat(self.b).add_product(x, w).store(&mut raw);
            for l in 0..LANES {
                (loss[l], raw[l]) = (self.f)(raw[l], i + l);
            }
            losses = losses.add(V::load(&loss));
            slopes = slopes.add(V::load(&raw));
            sum = sum.add_product(x, V::load(&raw));
        }
        let mut total = sum.total();
        for i in whole..walk.count {
            let x = walk.row(i)[0];
            let (loss, slope) = (self.f)(V::add_one(self.b, x, self.w[0]), i);
            (self.sums.0, self.sums.1) = (self.sums.0 + loss, self.sums.1 + slope);
            total = V::add_one(total, slope, x);
        }
        self.sums.0 += losses.total();
        self.sums.1 += slopes.total();
        self.grad[0] += total;
    }

    /// D features, one number after the other, two rows at a time.
    #[inline(always)]
    fn few<V: Lanes, const D: usize>(&mut self) {
        let walk = Walk::new(self.lines, D);
        let mut w = [0.0; D];
        w.copy_from_slice(self.w);
        let mut sums = [[0.0; D]; 2];
        for i in (0..walk.count).step_by(2) {
            let pair = if i + 1 < walk.count { 2 } else { 1 };
            for (r, sums) in sums[..pair].iter_mut().enumerate() {
                walk.ask(i + r);
                let x = &walk.row(i + r)[..D];
                let mut product = 0.0;
                for j in 0..D {
                    product = V::add_one(product, x[j], w[j]);
                }
                let [slope] = self.slopes([product], i + r);
                for j in 0..D {
                    sums[j] = V::add_one(sums[j], slope, x[j]);
                }
            }
        }
        for (grad, (one, other)) in self.grad.iter_mut().zip(sums[0].into_iter().zip(sums[1])) {
            *grad += one + other;
        }
    }

    /// C lanes of features, the last of which need not be full: w, the gradient and four rows are in registers.
    #[inline(always)]
    fn short<V: Lanes, const C: usize>(&mut self) {
        let walk = Walk::new(self.lines, self.w.len());
        let (w, mut grad) = (padded::<V, C>(self.w), padded::<V, C>(self.grad));
        let whole = walk.count / TOGETHER * TOGETHER;
        for i in (0..whole).step_by(TOGETHER) {
            let (mut x, mut sums) = ([[V::zero(); C]; TOGETHER], [V::zero(); TOGETHER]);
            for r in 0..TOGETHER {
                walk.ask(i + r);
                x[r] = lanes::<V, C>(walk.row(i + r));
                for c in 0..C {
                    sums[r] = sums[r].add_product(x[r][c], w[c]);
                }
            }
            let slopes = self.slopes(V::totals(sums), i);
            for r in 0..TOGETHER {
                let slope = V::splat(slopes[r]);
                for c in 0..C {
                    grad[c] = grad[c].add_product(slope, x[r][c]);
                }
            }
        }
        for i in whole..walk.count {
            let (x, mut sum) = (lanes::<V, C>(walk.row(i)), V::zero());
            for c in 0..C {
                sum = sum.add_product(x[c], w[c]);
            }
            let [slope] = self.slopes([sum.total()], i);
            for c in 0..C {
                grad[c] = grad[c].add_product(V::splat(slope), x[c]);
            }
        }
        unpadded(grad, self.grad);
    }

    /// Many features: the gradient is in memory, and goes by once for four rows.
    #[inline(always)]
    fn long<V: Lanes>(&mut self) {
        let walk = Walk::new(self.lines, self.w.len());
        let whole = walk.count / TOGETHER * TOGETHER;
        for i in (0..whole).step_by(TOGETHER) {
            let (mut products, mut x) = ([0.0; TOGETHER], [&[][..]; TOGETHER]);
            for r in 0..TOGETHER {
                x[r] = walk.row(i + r);
                products[r] = dot::<V>(x[r], self.w, walk.soon(i + r));
            }
            let slopes = self.slopes(products, i);
            add_rows::<V, TOGETHER>(self.grad, slopes, x);
        }
        for i in whole..walk.count {
            let x = walk.row(i);
            let slopes = self.slopes([dot::<V>(x, self.w, walk.soon(i))], i);
            add_rows::<V, 1>(self.grad, slopes, [x]);
        }
    }
}
