//! Passes: predictions and slopes of several outputs, formulas, widening. Like all kernels written once for lanes of
//! any make; no closure works on lanes, as it would be compiled without their instructions.

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, load};
use super::{Element, Lines, Work};

/// Rows that go through memory together, so that w is loaded once for all of them.
const TOGETHER: usize = 4;
/// Outputs whose sums stay in registers together, where there are many registers.
const OUTPUTS: usize = 4;
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
        let walk = Walk::new(lines, d);
        let whole = walk.count / TOGETHER * TOGETHER;
        for i in (0..whole).step_by(TOGETHER) {
            walk.ask::<TOGETHER>(i);
            all::<V, TOGETHER>(std::array::from_fn(|r| walk.row(i + r)), w, b, &mut raw[i * w.len() / d..]);
        }
        for i in whole..walk.count {
            walk.ask::<1>(i);
            all::<V, 1>([walk.row(i)], w, b, &mut raw[i * w.len() / d..]);
        }
    }
}

/// All outputs of M rows, as many of them together as there are registers.
#[inline(always)]
fn all<V: Lanes, const M: usize>(rows: [&[f64]; M], w: &[f64], b: &[f64], raw: &mut [f64]) {
    let (d, mut k) = (rows[0].len(), 0);
    let (rows, outputs) = (rows.map(|x| &x[..d]), w.len() / d);
    if V::MANY {
        while k + OUTPUTS <= outputs {
            dots::<V, M, OUTPUTS>(rows, w, b, k, raw);
            k += OUTPUTS;
        }
    }
    if k + 2 <= outputs {
        dots::<V, M, 2>(rows, w, b, k, raw);
        k += 2;
    }
    while k < outputs {
        dots::<V, M, 1>(rows, w, b, k, raw);
        k += 1;
    }
}

/// x . w + b of M rows and of outputs k to k + O; each sum is the same whatever M and O are.
#[inline(always)]
fn dots<V: Lanes, const M: usize, const O: usize>(rows: [&[f64]; M], w: &[f64], b: &[f64], k: usize, raw: &mut [f64]) {
    let (d, outputs) = (rows[0].len(), w.len() / rows[0].len());
    let rows = rows.map(|x| x[..d].as_chunks::<LANES>());
    let mut of_outputs: [(&[[f64; LANES]], &[f64]); O] = [(&[], &[]); O];
    for (o, of_output) in of_outputs.iter_mut().enumerate() {
        *of_output = w[(k + o) * d..][..d].as_chunks::<LANES>();
    }
    let mut sums = [[V::zero(); M]; O];
    for c in 0..d / LANES {
        let mut x = [V::zero(); M];
        for r in 0..M {
            x[r] = V::load(&rows[r].0[c]);
        }
        for o in 0..O {
            let w = V::load(&of_outputs[o].0[c]);
            for r in 0..M {
                sums[o][r] = sums[o][r].add_product(x[r], w);
            }
        }
    }
    if !d.is_multiple_of(LANES) {
        for o in 0..O {
            let w = V::load_part(of_outputs[o].1);
            for r in 0..M {
                sums[o][r] = sums[o][r].add_product(V::load_part(rows[r].1), w);
            }
        }
    }
    for o in 0..O {
        let b = b.get(k + o).copied().unwrap_or(0.0);
        let totals = match M {
            TOGETHER => V::totals([sums[o][0], sums[o][1 % M], sums[o][2 % M], sums[o][3 % M]]),
            _ => [V::total(sums[o][0]); TOGETHER],
        };
        for r in 0..M {
            raw[r * outputs + k + o] = totals[r] + b;
        }
    }
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
        let (walk, outputs, mut k) = (Walk::new(lines, d), grad.len() / d, 0);
        if V::MANY {
            while k + OUTPUTS <= outputs {
                columns::<V, OUTPUTS>(walk, slope, k, grad, d);
                k += OUTPUTS;
            }
        }
        if k + 2 <= outputs {
            columns::<V, 2>(walk, slope, k, grad, d);
            k += 2;
        }
        while k < outputs {
            columns::<V, 1>(walk, slope, k, grad, d);
            k += 1;
        }
    }
}

/// grad_k += sum_i slope_ik x_i of outputs k to k + O.
#[inline(always)]
fn columns<V: Lanes, const O: usize>(walk: Walk, slope: &[f64], k: usize, grad: &mut [f64], d: usize) {
    let slopes = Slopes { slope, outputs: grad.len() / d, k };
    let (grad, mut from) = (&mut grad[k * d..][..O * d], 0);
    while from + PANEL * LANES <= d {
        panel::<V, O, PANEL>(walk, &slopes, grad, from);
        from += PANEL * LANES;
    }
    while from + LANES <= d {
        panel::<V, O, 1>(walk, &slopes, grad, from);
        from += LANES;
    }
    if from < d {
        rest::<V, O>(walk, &slopes, grad, from);
    }
}

/// The slopes of outputs from k on.
struct Slopes<'a> {
    slope: &'a [f64],
    outputs: usize,
    k: usize,
}

impl Slopes<'_> {
    /// Of row i.
    #[inline(always)]
    fn of<const O: usize>(&self, i: usize) -> &[f64; O] {
        match self.slope[i * self.outputs + self.k..].first_chunk() {
            Some(slopes) => slopes,
            None => &[0.0; O], // there are always so many
        }
    }
}

/// Sums that are enough for an addition to be over when the next row needs it.
const CHAINS: usize = 4;

/// grad += sum of slope times x, for O outputs and C lanes of columns from `from` on. Where these are few, even rows
/// and odd ones have sums of their own.
#[inline(always)]
fn panel<V: Lanes, const O: usize, const C: usize>(walk: Walk, slopes: &Slopes, grad: &mut [f64], from: usize) {
    let d = grad.len() / O;
    let mut sums = [[[V::zero(); C]; O]; 2];
    let odd = usize::from(O * C < CHAINS);
    let whole = walk.count / 2 * 2;
    for i in (0..whole).step_by(2) {
        sums[0] = with_row(sums[0], slopes.of(i), &walk.row(i)[from..]);
        sums[odd] = with_row(sums[odd], slopes.of(i + 1), &walk.row(i + 1)[from..]);
    }
    for i in whole..walk.count {
        sums[0] = with_row(sums[0], slopes.of(i), &walk.row(i)[from..]);
    }
    for o in 0..O {
        let (grad, _) = grad[o * d + from..][..C * LANES].as_chunks_mut::<LANES>();
        for c in 0..C {
            V::load(&grad[c]).add(sums[0][o][c].add(sums[1][o][c])).store(&mut grad[c]);
        }
    }
}

#[inline(always)]
fn with_row<V: Lanes, const O: usize, const C: usize>(
    mut sums: [[V; C]; O],
    slopes: &[f64; O],
    x: &[f64],
) -> [[V; C]; O] {
    let (x, mut lanes) = (x[..C * LANES].as_chunks::<LANES>().0, [V::zero(); C]);
    for c in 0..C {
        lanes[c] = V::load(&x[c]);
    }
    for o in 0..O {
        let slope = V::splat(slopes[o]);
        for c in 0..C {
            sums[o][c] = sums[o][c].add_product(slope, lanes[c]);
        }
    }
    sums
}

/// The same for the last columns, fewer than eight.
#[inline(always)]
fn rest<V: Lanes, const O: usize>(walk: Walk, slopes: &Slopes, grad: &mut [f64], from: usize) {
    let d = grad.len() / O;
    let mut sums = [[V::zero(); O]; 2];
    let whole = walk.count / 2 * 2;
    for i in (0..whole).step_by(2) {
        sums[0] = with_part(sums[0], slopes.of(i), &walk.row(i)[from..]);
        sums[1] = with_part(sums[1], slopes.of(i + 1), &walk.row(i + 1)[from..]);
    }
    for i in whole..walk.count {
        sums[0] = with_part(sums[0], slopes.of(i), &walk.row(i)[from..]);
    }
    for o in 0..O {
        let mut sum = [0.0; LANES];
        sums[0][o].add(sums[1][o]).store(&mut sum);
        for (grad, sum) in grad[o * d + from..][..d - from].iter_mut().zip(sum) {
            *grad += sum;
        }
    }
}

#[inline(always)]
fn with_part<V: Lanes, const O: usize>(mut sums: [V; O], slopes: &[f64; O], x: &[f64]) -> [V; O] {
    let x = V::load_part(x);
    for o in 0..O {
        sums[o] = sums[o].add_product(V::splat(slopes[o]), x);
    }
    sums
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
        let (s, width) = (self.s, self.width);
        if s.is_empty() {
            return self.with::<V>(|_| [1.0; LANES]);
        }
        self.with::<V>(|from| weights(s, width, from));
    }
}

impl<F: Fn(f64, f64) -> f64, G: Fn(f64, f64) -> f64> Pointwise<'_, F, G> {
    /// The same with the weights of eight numbers from some place on.
    #[inline(always)]
    fn with<V: Lanes>(self, weights: impl Fn(usize) -> [f64; LANES]) {
        let Pointwise { a, b, f, g, sum, .. } = self;
        let b = &b[..a.len()];
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

/// The weights of eight numbers from some place on, each being that of `width` numbers; 0 beyond the last.
#[inline(always)]
pub(super) fn weights(s: &[f64], width: usize, from: usize) -> [f64; LANES] {
    std::array::from_fn(|l| s.get((from + l) / width).copied().unwrap_or(0.0))
}

/// s f and s g of eight numbers at once; one formula after the other, so that each becomes instructions on all of them.
#[inline(always)]
pub(super) fn eight(
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

pub(super) struct Replace<'a, F> {
    pub a: &'a mut [f64],
    pub f: F,
}

impl<F: Fn(f64) -> f64> Work for Replace<'_, F> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let (whole, rest) = self.a.as_chunks_mut::<LANES>();
        for a in whole {
            for a in a {
                *a = (self.f)(*a);
            }
        }
        for a in rest {
            *a = (self.f)(*a);
        }
    }
}

pub(super) struct Gather<'a, T> {
    pub lines: Lines<'a, T>,
    pub d: usize,
    pub stride: usize,
    pub out: &'a mut [f64],
}

impl<T: Element> Work for Gather<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let walk = Walk::new(self.lines, self.d);
        for (i, out) in self.out.chunks_mut(self.stride).take(walk.count).enumerate() {
            walk.ask::<1>(i);
            let (x, out) = (walk.row(i), &mut out[..self.d]);
            match self.d {
                1 => ends::<T, 1>(x, out),
                2..4 => ends::<T, 2>(x, out),
                4..LANES => ends::<T, 4>(x, out),
                _ => {}
            }
            if let (Some(x), Some(out)) = (x.last_chunk(), out.last_chunk_mut()) {
                load::<V, T>(x).store(out);
            }
            for (x, out) in x.as_chunks::<LANES>().0.iter().zip(out.as_chunks_mut().0) {
                load::<V, T>(x).store(out);
            }
        }
    }
}

/// Copies N numbers at either end of a row; no more of it is touched, as behind it may be a line that nobody asked for.
#[inline(always)]
fn ends<T: Element, const N: usize>(x: &[T], out: &mut [f64]) {
    if let (Some(x), Some(out)) = (x.first_chunk::<N>(), out.first_chunk_mut::<N>()) {
        *out = x.map(T::into);
    }
    if let (Some(x), Some(out)) = (x.last_chunk::<N>(), out.last_chunk_mut::<N>()) {
        *out = x.map(T::into);
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
