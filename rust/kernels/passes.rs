//! Passes: predictions and slopes of several outputs, formulas, widening. Like all kernels written once for lanes of any
//! make; no closure works on lanes, as it would be compiled without their instructions.

use super::lanes::{LANES, Lanes};
use super::walk::Walk;
use super::{Element, Lines, Work};

/// Rows that go through memory together, so that w is loaded once for all of them.
const TOGETHER: usize = 4;
/// Lanes of columns whose sums stay in registers while the rows of a block go by.
const PANEL: usize = 4;

pub(super) struct Forward<'a> {
    pub lines: Lines<'a>,
    pub d: usize,
    pub w: &'a [f64],
    pub b: &'a [f64],
    pub raw: &'a mut [f64],
}

impl Work for Forward<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Forward { lines, d, w, b, raw } = self;
        if let (Lines::Together { values, stride, .. }, true) = (lines, w.len() == d) {
            let b = b.first().copied().unwrap_or(0.0);
            match d {
                1 => return few::<V, 1>(values, stride, w, b, raw),
                2 => return few::<V, 2>(values, stride, w, b, raw),
                3 => return few::<V, 3>(values, stride, w, b, raw),
                4 => return few::<V, 4>(values, stride, w, b, raw),
                5 => return few::<V, 5>(values, stride, w, b, raw),
                6 => return few::<V, 6>(values, stride, w, b, raw),
                7 => return few::<V, 7>(values, stride, w, b, raw),
                8 => return few::<V, 8>(values, stride, w, b, raw),
                9..16 => return short::<V, 1>(values, stride, w, b, raw),
                16..24 => return short::<V, 2>(values, stride, w, b, raw),
                24..32 => return short::<V, 3>(values, stride, w, b, raw),
                32..40 => return short::<V, 4>(values, stride, w, b, raw),
                _ => {}
            }
        }
        let (walk, outputs) = (Walk::new(lines, d), w.len() / d);
        let whole = walk.count / TOGETHER * TOGETHER;
        for i in (0..whole).step_by(TOGETHER) {
            walk.ask::<TOGETHER>(i);
            let rows: [&[f64]; TOGETHER] = std::array::from_fn(|r| walk.row(i + r));
            for (k, w) in w.chunks_exact(d).enumerate() {
                let b = b.get(k).copied().unwrap_or(0.0);
                for (r, sum) in dots::<V, TOGETHER>(rows, w).into_iter().enumerate() {
                    raw[(i + r) * outputs + k] = sum + b;
                }
            }
        }
        for i in whole..walk.count {
            walk.ask::<1>(i);
            for (k, w) in w.chunks_exact(d).enumerate() {
                let [sum] = dots::<V, 1>([walk.row(i)], w);
                raw[i * outputs + k] = sum + b.get(k).copied().unwrap_or(0.0);
            }
        }
    }
}

/// x . w of M rows.
#[inline(always)]
fn dots<V: Lanes, const M: usize>(rows: [&[f64]; M], w: &[f64]) -> [f64; M] {
    let rows: [&[f64]; M] = rows.map(|x| &x[..w.len()]);
    let mut sums = [V::zero(); M];
    let (whole, rest) = w.as_chunks::<LANES>();
    let split = rows.map(|x| x.as_chunks::<LANES>());
    for (c, w) in whole.iter().enumerate() {
        let w = V::load(w);
        for r in 0..M {
            sums[r] = sums[r].add_product(V::load(&split[r].0[c]), w);
        }
    }
    if !rest.is_empty() {
        let w = V::load_part(rest);
        for r in 0..M {
            sums[r] = sums[r].add_product(V::load_part(split[r].1), w);
        }
    }
    let mut totals = [0.0; M];
    for (total, sum) in totals.iter_mut().zip(sums) {
        *total = sum.total();
    }
    totals
}

/// x . w + b of rows of D features, one number after the other: the rows are many and wait for nothing.
#[inline(always)]
fn few<V: Lanes, const D: usize>(values: &[f64], stride: usize, w: &[f64], b: f64, raw: &mut [f64]) {
    let w = &w[..D];
    for (x, raw) in values.chunks_exact(stride).zip(raw) {
        let x = &x[..D];
        let mut sum = b;
        for j in 0..D {
            sum = V::add_one(sum, x[j], w[j]);
        }
        *raw = sum;
    }
}

/// x . w + b of rows of C lanes and up to seven features more.
#[inline(always)]
fn short<V: Lanes, const C: usize>(values: &[f64], stride: usize, w: &[f64], b: f64, raw: &mut [f64]) {
    let (whole, rest) = w.as_chunks::<LANES>();
    let mut lanes = [V::zero(); C];
    for (lanes, w) in lanes.iter_mut().zip(whole) {
        *lanes = V::load(w);
    }
    let last = V::load_part(rest);
    let mut rows = values.chunks_exact(TOGETHER * stride);
    let (fours, left) = raw.as_chunks_mut::<TOGETHER>();
    for (x, raw) in rows.by_ref().zip(fours) {
        let mut sums = [V::zero(); TOGETHER];
        for (r, sum) in sums.iter_mut().enumerate() {
            *sum = product(lanes, last, rest.len(), &x[r * stride..]);
        }
        *raw = V::totals(sums);
        for raw in raw {
            *raw += b;
        }
    }
    for (x, raw) in rows.remainder().chunks_exact(stride).zip(left) {
        *raw = product(lanes, last, rest.len(), x).total() + b;
    }
}

/// The lanes of x . w, w being C of them and the first `rest` numbers of a last one.
#[inline(always)]
fn product<V: Lanes, const C: usize>(w: [V; C], last: V, rest: usize, x: &[f64]) -> V {
    let (x, x_rest) = x.split_at(C * LANES);
    let (x, _) = x.as_chunks::<LANES>();
    let mut sum = V::zero();
    for c in 0..C {
        sum = sum.add_product(V::load(&x[c]), w[c]);
    }
    if rest > 0 { sum.add_product(V::load_part(&x_rest[..rest]), last) } else { sum }
}

pub(super) struct Backward<'a> {
    pub lines: Lines<'a>,
    pub d: usize,
    pub slope: &'a [f64],
    pub grad: &'a mut [f64],
}

impl Work for Backward<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Backward { lines, d, slope, grad } = self;
        let (walk, outputs) = (Walk::new(lines, d), grad.len() / d);
        for (k, grad) in grad.chunks_exact_mut(d).enumerate() {
            let slopes = Slopes { slope, outputs, k };
            let mut from = 0;
            while from + PANEL * LANES <= d {
                panel::<V, PANEL>(walk, &slopes, grad, from);
                from += PANEL * LANES;
            }
            match (d - from) / LANES {
                0 => {}
                1 => panel::<V, 1>(walk, &slopes, grad, from),
                2 => panel::<V, 2>(walk, &slopes, grad, from),
                _ => panel::<V, 3>(walk, &slopes, grad, from),
            }
            if d % LANES > 0 {
                rest::<V>(walk, &slopes, grad, d / LANES * LANES);
            }
        }
    }
}

/// The slopes of output k.
struct Slopes<'a> {
    slope: &'a [f64],
    outputs: usize,
    k: usize,
}

impl Slopes<'_> {
    #[inline(always)]
    fn of(&self, i: usize) -> f64 {
        self.slope[i * self.outputs + self.k]
    }
}

/// grad += sum of slope times x, for C lanes of columns from `from` on. Two chains, as an addition takes longer than the
/// next row needs.
#[inline(always)]
fn panel<V: Lanes, const C: usize>(walk: Walk, slopes: &Slopes, grad: &mut [f64], from: usize) {
    let mut sums = [[V::zero(); C]; 2];
    let whole = walk.count / 2 * 2;
    for i in (0..whole).step_by(2) {
        sums[0] = with_row(sums[0], slopes.of(i), &walk.row(i)[from..]);
        sums[1] = with_row(sums[1], slopes.of(i + 1), &walk.row(i + 1)[from..]);
    }
    for i in whole..walk.count {
        sums[0] = with_row(sums[0], slopes.of(i), &walk.row(i)[from..]);
    }
    let (grad, _) = grad[from..][..C * LANES].as_chunks_mut::<LANES>();
    for c in 0..C {
        V::load(&grad[c]).add(sums[0][c].add(sums[1][c])).store(&mut grad[c]);
    }
}

#[inline(always)]
fn with_row<V: Lanes, const C: usize>(mut sums: [V; C], slope: f64, x: &[f64]) -> [V; C] {
    let (slope, (x, _)) = (V::splat(slope), x[..C * LANES].as_chunks::<LANES>());
    for c in 0..C {
        sums[c] = sums[c].add_product(slope, V::load(&x[c]));
    }
    sums
}

/// The same for the last columns, fewer than eight.
#[inline(always)]
fn rest<V: Lanes>(walk: Walk, slopes: &Slopes, grad: &mut [f64], from: usize) {
    let mut sums = [V::zero(); 2];
    for i in (0..walk.count / 2 * 2).step_by(2) {
        sums[0] = sums[0].add_product(V::splat(slopes.of(i)), V::load_part(&walk.row(i)[from..]));
        sums[1] = sums[1].add_product(V::splat(slopes.of(i + 1)), V::load_part(&walk.row(i + 1)[from..]));
    }
    if walk.count % 2 == 1 {
        let i = walk.count - 1;
        sums[0] = sums[0].add_product(V::splat(slopes.of(i)), V::load_part(&walk.row(i)[from..]));
    }
    let mut sum = [0.0; LANES];
    sums[0].add(sums[1]).store(&mut sum);
    for (grad, sum) in grad[from..].iter_mut().zip(sum) {
        *grad += sum;
    }
}

pub(super) struct Pointwise<'a, F, G> {
    pub a: &'a mut [f64],
    pub b: &'a [f64],
    pub s: &'a [f64],
    pub width: usize,
    pub f: F,
    pub g: G,
    pub sum: &'a mut f64,
}

impl<F: Fn(f64, f64) -> f64, G: Fn(f64, f64) -> f64> Work for Pointwise<'_, F, G> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Pointwise { a, b, s, width, f, g, sum } = self;
        let b = &b[..a.len()];
        let weights = |from: usize| -> [f64; LANES] {
            if s.is_empty() {
                return [1.0; LANES];
            }
            std::array::from_fn(|l| s.get((from + l) / width).copied().unwrap_or(0.0))
        };
        let ((whole, a_rest), (b, b_rest)) = (a.as_chunks_mut::<LANES>(), b.as_chunks::<LANES>());
        let (mut sums, done) = (V::zero(), whole.len() * LANES);
        for (c, (a, b)) in whole.iter_mut().zip(b).enumerate() {
            let (values, slopes) = eight(*a, *b, weights(c * LANES), &f, &g);
            sums = sums.add(V::load(&values));
            *a = slopes;
        }
        if !a_rest.is_empty() {
            let (mut x, mut y) = ([0.0; LANES], [0.0; LANES]);
            let count = a_rest.len();
            V::load_part(a_rest).store(&mut x);
            V::load_part(b_rest).store(&mut y);
            let (values, slopes) = eight(x, y, weights(done), &f, &g);
            sums = sums.add(V::load_part(&values[..count]));
            V::load(&slopes).store_part(a_rest);
        }
        *sum = sums.total();
    }
}

/// s f and s g of eight numbers at once; one formula after the other, so that each becomes instructions on all of them.
#[inline(always)]
fn eight(
    x: [f64; LANES],
    y: [f64; LANES],
    s: [f64; LANES],
    f: &impl Fn(f64, f64) -> f64,
    g: &impl Fn(f64, f64) -> f64,
) -> ([f64; LANES], [f64; LANES]) {
    let (mut values, mut slopes) = ([0.0; LANES], [0.0; LANES]);
    for l in 0..LANES {
        values[l] = s[l] * f(x[l], y[l]);
    }
    for l in 0..LANES {
        slopes[l] = s[l] * g(x[l], y[l]);
    }
    (values, slopes)
}

pub(super) struct Widen<'a, T> {
    pub x: &'a [T],
    pub out: &'a mut [f64],
}

impl<T: Element> Work for Widen<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = x.into();
        }
    }
}

pub(super) struct Finite<'a, T> {
    pub values: &'a [T],
    pub finite: &'a mut bool,
}

impl<T: Element> Work for Finite<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let (whole, rest) = self.values.as_chunks::<{ 2 * LANES }>();
        let mut sums = [0.0; 2 * LANES]; // of zeros, unless a value is not finite
        for values in whole {
            for l in 0..2 * LANES {
                sums[l] += values[l].into() * 0.0;
            }
        }
        for &value in rest {
            sums[0] += value.into() * 0.0;
        }
        *self.finite = sums.iter().sum::<f64>() == 0.0;
    }
}
