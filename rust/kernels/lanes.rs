//! Lanes: the kernels over eight numbers at once, which the compiler makes one instruction of, or two, or four.

use super::{Lines, Way, Work, prefetch};

/// Numbers that are worked on at once.
const LANES: usize = 8;
/// Rows that go through memory together, so that w and the gradient are loaded once for all of them.
const TOGETHER: usize = 4;

#[inline(always)]
fn add_product<W: Way>(sum: f64, a: f64, b: f64) -> f64 {
    if W::FUSED { a.mul_add(b, sum) } else { sum + a * b }
}

/// The sum of the lanes, in a fixed order.
#[inline(always)]
fn total(lanes: [f64; LANES]) -> f64 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Row i, and the first of `count` rows.
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
        let i = self.at.map_or(i, |at| at[i]);
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
    fn run<W: Way>(self) {
        let Forward { lines, d, w, b, raw } = self;
        if let (Lines::Together { values, stride }, true) = (lines, w.len() == d) {
            let b = b.first().copied().unwrap_or(0.0);
            match d {
                1 => return few::<W, 1>(values, stride, w, b, raw),
                2 => return few::<W, 2>(values, stride, w, b, raw),
                3 => return few::<W, 3>(values, stride, w, b, raw),
                4 => return few::<W, 4>(values, stride, w, b, raw),
                5 => return few::<W, 5>(values, stride, w, b, raw),
                6 => return few::<W, 6>(values, stride, w, b, raw),
                7 => return few::<W, 7>(values, stride, w, b, raw),
                8 => return few::<W, 8>(values, stride, w, b, raw),
                9 => return few::<W, 9>(values, stride, w, b, raw),
                10 => return few::<W, 10>(values, stride, w, b, raw),
                11 => return few::<W, 11>(values, stride, w, b, raw),
                12 => return few::<W, 12>(values, stride, w, b, raw),
                _ => {}
            }
        }
        let (walk, outputs) = (Walk::new(lines, d), w.len() / d);
        let mut i = 0;
        while i + TOGETHER <= walk.count {
            for r in 0..TOGETHER {
                walk.ask(i + r);
            }
            let rows: [&[f64]; TOGETHER] = std::array::from_fn(|r| walk.row(i + r));
            for (k, w) in w.chunks_exact(d).enumerate() {
                let b = b.get(k).copied().unwrap_or(0.0);
                for (r, sum) in dots::<W, TOGETHER>(rows, w).into_iter().enumerate() {
                    raw[(i + r) * outputs + k] = sum + b;
                }
            }
            i += TOGETHER;
        }
        for i in i..walk.count {
            walk.ask(i);
            for (k, w) in w.chunks_exact(d).enumerate() {
                let [sum] = dots::<W, 1>([walk.row(i)], w);
                raw[i * outputs + k] = sum + b.get(k).copied().unwrap_or(0.0);
            }
        }
    }
}

/// x . w of M rows.
#[inline(always)]
fn dots<W: Way, const M: usize>(rows: [&[f64]; M], w: &[f64]) -> [f64; M] {
    let (mut lanes, mut sums) = ([[0.0; LANES]; M], [0.0; M]);
    let (whole, rest) = w.as_chunks::<LANES>();
    for (c, w) in whole.iter().enumerate() {
        for (lanes, x) in lanes.iter_mut().zip(&rows) {
            let x: &[f64; LANES] = x[c * LANES..][..LANES].try_into().unwrap_or(&[0.0; LANES]);
            for l in 0..LANES {
                lanes[l] = add_product::<W>(lanes[l], x[l], w[l]);
            }
        }
    }
    for ((sum, x), lanes) in sums.iter_mut().zip(&rows).zip(lanes) {
        for (x, w) in x[whole.len() * LANES..].iter().zip(rest) {
            *sum = add_product::<W>(*sum, *x, *w);
        }
        *sum += total(lanes);
    }
    sums
}

/// x . w + b of rows of D features.
#[inline(always)]
fn few<W: Way, const D: usize>(values: &[f64], stride: usize, w: &[f64], b: f64, raw: &mut [f64]) {
    let Some(w) = w.first_chunk::<D>() else { return };
    for (x, raw) in values.chunks_exact(stride).zip(raw) {
        let Some(x) = x.first_chunk::<D>() else { return };
        let mut sum = b;
        for j in 0..D {
            sum = add_product::<W>(sum, x[j], w[j]);
        }
        *raw = sum;
    }
}

pub(super) struct Backward<'a> {
    pub lines: Lines<'a>,
    pub d: usize,
    pub slope: &'a [f64],
    pub grad: &'a mut [f64],
}

impl Work for Backward<'_> {
    #[inline(always)]
    fn run<W: Way>(self) {
        let Backward { lines, d, slope, grad } = self;
        if let (Lines::Together { values, stride }, true) = (lines, grad.len() == d) {
            match d {
                1 => return few_back::<W, 1>(values, stride, slope, grad),
                2 => return few_back::<W, 2>(values, stride, slope, grad),
                3 => return few_back::<W, 3>(values, stride, slope, grad),
                4 => return few_back::<W, 4>(values, stride, slope, grad),
                5 => return few_back::<W, 5>(values, stride, slope, grad),
                6 => return few_back::<W, 6>(values, stride, slope, grad),
                7 => return few_back::<W, 7>(values, stride, slope, grad),
                8 => return few_back::<W, 8>(values, stride, slope, grad),
                9 => return few_back::<W, 9>(values, stride, slope, grad),
                10 => return few_back::<W, 10>(values, stride, slope, grad),
                11 => return few_back::<W, 11>(values, stride, slope, grad),
                12 => return few_back::<W, 12>(values, stride, slope, grad),
                _ => {}
            }
        }
        let (walk, outputs) = (Walk::new(lines, d), grad.len() / d);
        let mut i = 0;
        while i + TOGETHER <= walk.count {
            let rows: [&[f64]; TOGETHER] = std::array::from_fn(|r| walk.row(i + r));
            for (k, grad) in grad.chunks_exact_mut(d).enumerate() {
                let slopes: [f64; TOGETHER] = std::array::from_fn(|r| slope[(i + r) * outputs + k]);
                add::<W, TOGETHER>(rows, slopes, grad);
            }
            i += TOGETHER;
        }
        for i in i..walk.count {
            for (k, grad) in grad.chunks_exact_mut(d).enumerate() {
                add::<W, 1>([walk.row(i)], [slope[i * outputs + k]], grad);
            }
        }
    }
}

/// grad += sum of slope times x over M rows
#[inline(always)]
fn add<W: Way, const M: usize>(rows: [&[f64]; M], slopes: [f64; M], grad: &mut [f64]) {
    let rows: [&[f64]; M] = std::array::from_fn(|r| &rows[r][..grad.len()]);
    for j in 0..grad.len() {
        let mut sum = grad[j];
        for r in 0..M {
            sum = add_product::<W>(sum, slopes[r], rows[r][j]);
        }
        grad[j] = sum;
    }
}

/// grad += sum of slope times x over rows of D features
#[inline(always)]
fn few_back<W: Way, const D: usize>(values: &[f64], stride: usize, slope: &[f64], grad: &mut [f64]) {
    let Some(grad) = grad.first_chunk_mut::<D>() else { return };
    let mut sums = [[0.0; D]; 2]; // two chains, as an addition takes longer than the next row needs
    let mut rows = values.chunks_exact(stride).zip(slope);
    while let Some((x, slope)) = rows.next() {
        let Some(x) = x.first_chunk::<D>() else { return };
        for j in 0..D {
            sums[0][j] = add_product::<W>(sums[0][j], *slope, x[j]);
        }
        if let Some((x, slope)) = rows.next() {
            let Some(x) = x.first_chunk::<D>() else { return };
            for j in 0..D {
                sums[1][j] = add_product::<W>(sums[1][j], *slope, x[j]);
            }
        }
    }
    for j in 0..D {
        grad[j] += sums[0][j] + sums[1][j];
    }
}

pub(super) struct Products<'a> {
    pub rows: &'a [f64],
    pub d: usize,
    pub s: &'a [f64],
    pub products: &'a mut [f64],
}

/// Columns whose products with LANES others are summed at once, so that the sums stay in registers.
const TILE: usize = 4;

impl Work for Products<'_> {
    #[inline(always)]
    fn run<W: Way>(self) {
        let Products { rows, d, s, products } = self;
        for j in (0..d).step_by(TILE) {
            for k in (j / LANES * LANES..d).step_by(LANES) {
                let mut sums = [[0.0; LANES]; TILE];
                for (i, x) in rows.chunks_exact(d).enumerate() {
                    let (Some(a), Some(b)) = (x[j..].first_chunk::<TILE>(), x[k..].first_chunk::<LANES>()) else {
                        return;
                    };
                    let weight = if s.is_empty() { 1.0 } else { s[i] };
                    for t in 0..TILE {
                        let a = weight * a[t];
                        for l in 0..LANES {
                            sums[t][l] = add_product::<W>(sums[t][l], a, b[l]);
                        }
                    }
                }
                for t in 0..TILE {
                    for l in 0..LANES {
                        products[(j + t) * d + k + l] += sums[t][l];
                    }
                }
            }
        }
    }
}
