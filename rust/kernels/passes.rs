//! Passes: the kernels, written once for lanes of any make. No closure works on lanes: it would be compiled without their
//! instructions.

use super::lanes::{LANES, Lanes};
use super::{Element, Lines, Online, Work, prefetch};

/// Rows that go through memory together, so that w is loaded once for all of them.
const TOGETHER: usize = 4;
/// Lanes of columns whose sums stay in registers while the rows of a block go by.
const PANEL: usize = 4;

/// Row i of rows that lie anyhow.
#[derive(Clone, Copy)]
struct Walk<'a> {
    values: &'a [f64],
    stride: usize,
    at: Option<&'a [usize]>,
    soon: &'a [usize],
    count: usize,
    d: usize,
}

impl<'a> Walk<'a> {
    #[inline(always)]
    fn new(lines: Lines<'a>, d: usize) -> Self {
        match lines {
            Lines::Together { values, stride } => {
                Walk { values, stride, at: None, soon: &[], count: values.len() / stride, d }
            }
            Lines::Apart { values, at, soon } => Walk { values, stride: d, at: Some(at), soon, count: at.len(), d },
        }
    }

    #[inline(always)]
    fn row(&self, i: usize) -> &'a [f64] {
        let i = match self.at {
            Some(at) => at[i],
            None => i,
        };
        &self.values[i * self.stride..][..self.d]
    }

    #[inline(always)]
    fn ask(&self, i: usize) {
        if let Some(&soon) = self.soon.get(i) {
            prefetch(&self.values[soon * self.stride..][..self.d]);
        }
    }
}

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
        if let (Lines::Together { values, stride }, true) = (lines, w.len() == d) {
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
            for r in 0..TOGETHER {
                walk.ask(i + r);
            }
            let rows: [&[f64]; TOGETHER] = std::array::from_fn(|r| walk.row(i + r));
            for (k, w) in w.chunks_exact(d).enumerate() {
                let b = b.get(k).copied().unwrap_or(0.0);
                for (r, sum) in dots::<V, TOGETHER>(rows, w).into_iter().enumerate() {
                    raw[(i + r) * outputs + k] = sum + b;
                }
            }
        }
        for i in whole..walk.count {
            walk.ask(i);
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
        if let (Lines::Together { values, stride }, true) = (lines, grad.len() == d) {
            match d {
                1 => return single_back::<V>(values, stride, slope, grad),
                2 => return few_back::<V, 2>(values, stride, slope, grad),
                3 => return few_back::<V, 3>(values, stride, slope, grad),
                4 => return few_back::<V, 4>(values, stride, slope, grad),
                5 => return few_back::<V, 5>(values, stride, slope, grad),
                6 => return few_back::<V, 6>(values, stride, slope, grad),
                7 => return few_back::<V, 7>(values, stride, slope, grad),
                8 => return few_back::<V, 8>(values, stride, slope, grad),
                9 => return few_back::<V, 9>(values, stride, slope, grad),
                10 => return few_back::<V, 10>(values, stride, slope, grad),
                11 => return few_back::<V, 11>(values, stride, slope, grad),
                12 => return few_back::<V, 12>(values, stride, slope, grad),
                13 => return few_back::<V, 13>(values, stride, slope, grad),
                14 => return few_back::<V, 14>(values, stride, slope, grad),
                15 => return few_back::<V, 15>(values, stride, slope, grad),
                16 => return few_back::<V, 16>(values, stride, slope, grad),
                _ => {}
            }
        }
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

/// grad += sum of slope times x over rows of one feature, eight rows at a time
#[inline(always)]
fn single_back<V: Lanes>(values: &[f64], stride: usize, slope: &[f64], grad: &mut [f64]) {
    let (slopes, rest) = slope[..values.len() / stride].as_chunks::<LANES>();
    let (mut sum, mut x) = (V::zero(), [0.0; LANES]);
    if stride == 1 {
        for (slopes, x) in slopes.iter().zip(values.as_chunks::<LANES>().0) {
            sum = sum.add_product(V::load(x), V::load(slopes));
        }
    } else {
        for (slopes, rows) in slopes.iter().zip(values.chunks_exact(LANES * stride)) {
            for (x, row) in x.iter_mut().zip(rows.chunks_exact(stride)) {
                *x = row[0];
            }
            sum = sum.add_product(V::load(&x), V::load(slopes));
        }
    }
    let mut last = [0.0; LANES];
    let rows = values[slopes.len() * LANES * stride..].chunks_exact(stride);
    for (last, (row, slope)) in last.iter_mut().zip(rows.zip(rest)) {
        *last = row[0] * slope;
    }
    grad[0] += sum.add(V::load(&last)).total();
}

/// grad += sum of slope times x over rows of D features
#[inline(always)]
fn few_back<V: Lanes, const D: usize>(values: &[f64], stride: usize, slope: &[f64], grad: &mut [f64]) {
    let mut sums = [[0.0; D]; 2];
    let mut rows = values.chunks_exact(stride).zip(slope);
    while let Some((x, slope)) = rows.next() {
        let x = &x[..D];
        for j in 0..D {
            sums[0][j] = V::add_one(sums[0][j], *slope, x[j]);
        }
        if let Some((x, slope)) = rows.next() {
            let x = &x[..D];
            for j in 0..D {
                sums[1][j] = V::add_one(sums[1][j], *slope, x[j]);
            }
        }
    }
    for (grad, (one, other)) in grad[..D].iter_mut().zip(sums[0].into_iter().zip(sums[1])) {
        *grad += one + other;
    }
}

pub(super) struct ByRows<'a, F> {
    pub lines: Lines<'a>,
    pub steps: Online<'a>,
    pub f: F,
    pub sum: &'a mut f64,
}

impl<F: Fn(f64, usize) -> (f64, f64)> Work for ByRows<'_, F> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        match self.steps.w.len().div_ceil(LANES) {
            1 => self.few::<V, 1>(),
            2 => self.few::<V, 2>(),
            3 => self.few::<V, 3>(),
            4 => self.few::<V, 4>(),
            _ => self.many::<V>(),
        }
    }
}

impl<F: Fn(f64, usize) -> (f64, f64)> ByRows<'_, F> {
    /// With w in registers: C lanes, the last of which need not be full.
    #[inline(always)]
    fn few<V: Lanes, const C: usize>(self) {
        let ByRows { lines, steps, f, sum } = self;
        let Online { w, b, rates, implicit, tail } = steps;
        let d = w.len();
        let walk = Walk::new(lines, d);
        let (mut theta, mut tails) = (padded::<V, C>(w), padded::<V, C>(&tail[..tail.len().min(d)]));
        let mut bias = b.first().copied().unwrap_or(0.0);
        let mut bias_tail = tail.get(d).copied().unwrap_or(0.0);
        for (i, rate) in rates.iter().enumerate().take(walk.count) {
            walk.ask(i);
            let x = padded::<V, C>(walk.row(i));
            let mut product = V::zero();
            for (x, theta) in x.iter().zip(theta) {
                product = product.add_product(*x, theta);
            }
            let (loss, slope) = f(product.total() + bias, i);
            let mut step = rate * slope;
            if implicit != 0.0 {
                let mut square = V::zero();
                for x in x {
                    square = square.add_product(x, x);
                }
                step /= 1.0 + rate * implicit * (square.total() + b.len() as f64);
            }
            for c in 0..C {
                theta[c] = theta[c].add_product(V::splat(-step), x[c]);
            }
            if !b.is_empty() {
                bias -= step;
            }
            if !tail.is_empty() {
                for c in 0..C {
                    tails[c] = tails[c].add(theta[c]);
                }
                bias_tail += bias;
            }
            *sum += loss;
        }
        unpadded(theta, w);
        if !tail.is_empty() {
            unpadded(tails, &mut tail[..d]);
        }
        b.iter_mut().for_each(|b| *b = bias);
        tail.iter_mut().skip(d).for_each(|tail| *tail = bias_tail);
    }

    /// With w in memory.
    #[inline(always)]
    fn many<V: Lanes>(self) {
        let ByRows { lines, steps, f, sum } = self;
        let Online { w, b, rates, implicit, tail } = steps;
        let walk = Walk::new(lines, w.len());
        for (i, rate) in rates.iter().enumerate().take(walk.count) {
            walk.ask(i);
            let x = walk.row(i);
            let [product] = dots::<V, 1>([x], w);
            let (loss, slope) = f(product + b.iter().sum::<f64>(), i);
            let mut step = rate * slope;
            if implicit != 0.0 {
                let [square] = dots::<V, 1>([x], x);
                step /= 1.0 + rate * implicit * (square + b.len() as f64);
            }
            for (w, x) in w.iter_mut().zip(x) {
                *w = V::add_one(*w, -step, *x);
            }
            b.iter_mut().for_each(|b| *b -= step);
            for (tail, theta) in tail.iter_mut().zip(w.iter().chain(&*b)) {
                *tail += theta;
            }
            *sum += loss;
        }
    }
}

/// At most C lanes of numbers, and zeros.
#[inline(always)]
fn padded<V: Lanes, const C: usize>(values: &[f64]) -> [V; C] {
    let (mut lanes, (whole, rest)) = ([V::zero(); C], values.as_chunks::<LANES>());
    for (c, lanes) in lanes.iter_mut().enumerate() {
        if let Some(whole) = whole.get(c) {
            *lanes = V::load(whole);
        } else if c == whole.len() {
            *lanes = V::load_part(rest);
        }
    }
    lanes
}

#[inline(always)]
fn unpadded<V: Lanes, const C: usize>(lanes: [V; C], values: &mut [f64]) {
    let mut all = [[0.0; LANES]; C];
    for c in 0..C {
        lanes[c].store(&mut all[c]);
    }
    values.copy_from_slice(&all.as_flattened()[..values.len()]);
}

pub(super) struct Pointwise<'a, F> {
    pub a: &'a mut [f64],
    pub b: &'a [f64],
    pub f: F,
    pub sum: &'a mut f64,
}

impl<F: Fn(f64, f64, usize) -> (f64, f64)> Work for Pointwise<'_, F> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Pointwise { a, b, f, sum } = self;
        let mut sums = [0.0; LANES];
        let ((whole, rest), (b, b_rest)) = (a.as_chunks_mut::<LANES>(), b.as_chunks::<LANES>());
        let done = whole.len() * LANES;
        for (c, (a, b)) in whole.iter_mut().zip(b).enumerate() {
            for l in 0..LANES {
                let (value, replaced) = f(a[l], b[l], c * LANES + l);
                sums[l] += value;
                a[l] = replaced;
            }
        }
        for (i, ((a, b), sum)) in rest.iter_mut().zip(b_rest).zip(&mut sums).enumerate() {
            let (value, replaced) = f(*a, *b, done + i);
            *sum += value;
            *a = replaced;
        }
        *sum = V::load(&sums).total();
    }
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

pub(super) struct Sum<'a> {
    pub values: &'a [f64],
    pub sum: &'a mut f64,
}

impl Work for Sum<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let (whole, rest) = self.values.as_chunks::<LANES>();
        let mut sum = V::load_part(rest);
        for values in whole {
            sum = sum.add(V::load(values));
        }
        *self.sum = sum.total();
    }
}

pub(super) struct Centre<'a> {
    pub lines: Lines<'a>,
    pub d: usize,
    pub away: &'a [f64],
    pub s: &'a [f64],
    pub out: &'a mut [f64],
    pub stride: usize,
    pub sums: &'a mut [f64],
    pub range: &'a mut [f64],
}

impl Work for Centre<'_> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let mut from = 0;
        while from + PANEL * LANES <= self.d {
            self.panel::<V, PANEL>(from);
            from += PANEL * LANES;
        }
        while from + LANES <= self.d {
            self.panel::<V, 1>(from);
            from += LANES;
        }
        if from < self.d {
            self.rest::<V>(from);
        }
    }
}

impl Centre<'_> {
    /// C lanes of columns from `from` on.
    #[inline(always)]
    fn panel<V: Lanes, const C: usize>(&mut self, from: usize) {
        let walk = Walk::new(self.lines, self.d);
        let (away, mut sums, mut range): ([V; C], [V; C], [V; C]) =
            (several(&self.away[from..]), several(&self.sums[from..]), several(&self.range[from..]));
        for i in 0..walk.count {
            let (x, _) = walk.row(i)[from..][..C * LANES].as_chunks::<LANES>();
            let (out, _) = self.out[i * self.stride + from..][..C * LANES].as_chunks_mut::<LANES>();
            let s = V::splat(if self.s.is_empty() { 1.0 } else { self.s[i] });
            for c in 0..C {
                let z = V::load(&x[c]).minus(away[c]);
                z.store(&mut out[c]);
                sums[c] = sums[c].add_product(s, z);
                range[c] = range[c].widest(z);
            }
        }
        for c in 0..C {
            let at = from + c * LANES;
            sums[c].store(&mut self.sums[at..][..LANES].as_chunks_mut().0[0]);
            range[c].store(&mut self.range[at..][..LANES].as_chunks_mut().0[0]);
        }
    }

    /// The same for the last columns, fewer than eight, and zeros after them.
    #[inline(always)]
    fn rest<V: Lanes>(&mut self, from: usize) {
        let walk = Walk::new(self.lines, self.d);
        let (away, mut sums) = (V::load_part(&self.away[from..self.d]), V::load_part(&self.sums[from..self.d]));
        let mut range = V::load_part(&self.range[from..self.d]);
        for i in 0..walk.count {
            let z = V::load_part(&walk.row(i)[from..]).minus(away);
            let (out, _) = self.out[i * self.stride + from..][..LANES].as_chunks_mut::<LANES>();
            z.store(&mut out[0]);
            sums = sums.add_product(V::splat(if self.s.is_empty() { 1.0 } else { self.s[i] }), z);
            range = range.widest(z);
        }
        let mut lanes = [0.0; LANES];
        sums.store(&mut lanes);
        self.sums[from..self.d].copy_from_slice(&lanes[..self.d - from]);
        range.store(&mut lanes);
        self.range[from..self.d].copy_from_slice(&lanes[..self.d - from]);
    }
}

/// The first C lanes.
#[inline(always)]
fn several<V: Lanes, const C: usize>(values: &[f64]) -> [V; C] {
    let (mut lanes, (values, _)) = ([V::zero(); C], values[..C * LANES].as_chunks::<LANES>());
    for c in 0..C {
        lanes[c] = V::load(&values[c]);
    }
    lanes
}

pub(super) struct Products<'a> {
    pub rows: &'a [f64],
    pub d: usize,
    pub s: &'a [f64],
    pub products: &'a mut [f64],
}

/// Columns whose products with others are summed at once, so that the sums stay in registers.
const TILE: usize = 4;

impl Work for Products<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Products { rows, d, s, products } = self;
        for j in (0..d).step_by(TILE) {
            for k in (j / LANES * LANES..d).step_by(LANES) {
                let sums = match s {
                    [] => tile::<V, false>(rows, d, j, k, s),
                    _ => tile::<V, true>(rows, d, j, k, s),
                };
                for (t, sum) in sums.into_iter().enumerate() {
                    let out = &mut products[(j + t) * d + k..][..LANES].as_chunks_mut().0[0];
                    V::load(out).add(sum).store(out);
                }
            }
        }
    }
}

/// Products of columns j.. with columns k.., of rows that weigh s or the same.
#[inline(always)]
fn tile<V: Lanes, const S: bool>(rows: &[f64], d: usize, j: usize, k: usize, s: &[f64]) -> [V; TILE] {
    let mut sums = [V::zero(); TILE];
    for (i, x) in rows.chunks_exact(d).enumerate() {
        let (a, b) = (&x[j..][..TILE], V::load(&x[k..][..LANES].as_chunks().0[0]));
        for t in 0..TILE {
            sums[t] = sums[t].add_product(V::splat(if S { s[i] * a[t] } else { a[t] }), b);
        }
    }
    sums
}
