//! Walk: rows one by one, however they lie, and lanes of them; sums over long rows.

use super::lanes::{LANES, Lanes};
use super::{Lines, ask, prefetch};

/// Numbers ahead that are asked for where rows lie one after the other, and from how long a row the processor sees by
/// itself which way it goes.
const FAR: usize = 4096;
const LONG: usize = 256;

/// Row i of rows that lie anyhow.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) values: &'a [f64],
    pub(super) stride: usize,
    pub(super) at: Option<&'a [u32]>,
    soon: &'a [u32],
    /// Numbers up to which there is something to ask for.
    until: usize,
    pub(super) count: usize,
    d: usize,
}

impl<'a> Walk<'a> {
    #[inline(always)]
    pub(super) fn new(lines: Lines<'a>, d: usize) -> Self {
        match lines {
            Lines::Together { values, stride, beyond } => {
                let until = if beyond == 0 || stride >= LONG { 0 } else { values.len() + beyond };
                Walk { values, stride, at: None, soon: &[], until, count: values.len() / stride, d }
            }
            Lines::Apart { values, stride, at, soon } => {
                Walk { values, stride, at: Some(at), soon, until: 0, count: at.len(), d }
            }
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> &'a [f64] {
        let i = match self.at {
            Some(at) => at[i] as usize,
            None => i,
        };
        &self.values[i * self.stride..][..self.d]
    }

    /// Where a row some way after row i begins, or row i itself.
    #[inline(always)]
    pub(super) fn soon(&self, i: usize) -> *const f64 {
        if let Some(&soon) = self.soon.get(i) {
            self.values[soon as usize * self.stride..][..self.d].as_ptr()
        } else if self.at.is_none() && i * self.stride + FAR < self.until {
            self.values.as_ptr().wrapping_add(i * self.stride + FAR)
        } else {
            self.row(i).as_ptr()
        }
    }

    /// Where M rows some way after rows i, i + 1 and so on begin, if there is anything to ask for.
    #[inline(always)]
    pub(super) fn asks<const M: usize>(&self, i: usize) -> Option<[*const f64; M]> {
        let any = i < self.soon.len() || i * self.stride + FAR < self.until;
        any.then(|| std::array::from_fn(|r| self.soon(i + r)))
    }

    /// Asks for M rows some way after row i.
    #[inline(always)]
    pub(super) fn ask<const M: usize>(&self, i: usize) {
        if self.at.is_some() {
            for &soon in self.soon.iter().skip(i).take(M) {
                prefetch(&self.values[soon as usize * self.stride..][..self.d]);
            }
        } else if i * self.stride + FAR < self.until {
            ask(self.values.as_ptr().wrapping_add(i * self.stride + FAR).cast(), M * self.stride * size_of::<f64>());
        }
    }
}

/// C lanes, the last of which holds what is left.
#[inline(always)]
pub(super) fn lanes<V: Lanes, const C: usize>(x: &[f64]) -> [V; C] {
    let (mut lanes, (whole, _)) = ([V::zero(); C], x.as_chunks::<LANES>());
    for c in 0..C - 1 {
        lanes[c] = V::load(&whole[c]);
    }
    lanes[C - 1] = V::load_part(&x[(C - 1) * LANES..]);
    lanes
}

/// x . w of a long row, in four chains; asks for as many numbers from `soon` on. Written out in stretches of eight lanes,
/// as short loops of unknown length leave the processor guessing.
#[inline(always)]
pub(super) fn dot<V: Lanes>(x: &[f64], w: &[f64], soon: *const f64) -> f64 {
    let mut sums = [V::zero(); 4];
    let ((x, x_rest), (w, w_rest)) = (x[..w.len()].as_chunks::<LANES>(), w.as_chunks::<LANES>());
    let ((x, x_last), (w, w_last)) = (x.as_chunks::<8>(), w.as_chunks::<8>());
    let mut from = soon;
    for (x, w) in x.iter().zip(w) {
        stretch::<V, 8>(&mut sums, x, w, from);
        from = from.wrapping_add(8 * LANES);
    }
    match w_last.len() {
        1 => stretch::<V, 1>(&mut sums, x_last, w_last, from),
        2 => stretch::<V, 2>(&mut sums, x_last, w_last, from),
        3 => stretch::<V, 3>(&mut sums, x_last, w_last, from),
        4 => stretch::<V, 4>(&mut sums, x_last, w_last, from),
        5 => stretch::<V, 5>(&mut sums, x_last, w_last, from),
        6 => stretch::<V, 6>(&mut sums, x_last, w_last, from),
        7 => stretch::<V, 7>(&mut sums, x_last, w_last, from),
        _ => {}
    }
    if !w_rest.is_empty() {
        sums[3] = sums[3].add_product(V::load_part(x_rest), V::load_part(w_rest));
    }
    ask(soon.wrapping_add(x.len() * 64 + w_last.len() * 8 + w_rest.len() - 1).cast(), 1);
    sums[0].add(sums[1]).add(sums[2].add(sums[3])).total()
}

#[inline(always)]
pub(super) fn stretch<V: Lanes, const C: usize>(
    sums: &mut [V; 4],
    x: &[[f64; LANES]],
    w: &[[f64; LANES]],
    soon: *const f64,
) {
    let (x, w) = (&x[..C], &w[..C]);
    for c in 0..C {
        ask(soon.wrapping_add(c * LANES).cast(), 1);
    }
    for c in 0..C {
        sums[c % 4] = sums[c % 4].add_product(V::load(&x[c]), V::load(&w[c]));
    }
}

#[inline(always)]
pub(super) fn totals<V: Lanes, const M: usize>(sums: [V; M]) -> [f64; M] {
    let mut totals = [0.0; M];
    let (fours, rest) = totals.as_chunks_mut::<4>();
    for (c, four) in fours.iter_mut().enumerate() {
        *four = V::totals([sums[4 * c], sums[4 * c + 1], sums[4 * c + 2], sums[4 * c + 3]]);
    }
    for (total, sum) in rest.iter_mut().zip(&sums[M / 4 * 4..]) {
        *total = sum.total();
    }
    totals
}

/// grad += sum of slope times x over M rows; asks for every other line from each `soon` on, as `dots` for the rest.
#[inline(always)]
pub(super) fn add_rows<V: Lanes, const M: usize>(
    grad: &mut [f64],
    slopes: [f64; M],
    x: [&[f64]; M],
    soon: Option<[*const f64; M]>,
) {
    let x = x.map(|x| x[..grad.len()].as_chunks::<LANES>());
    let (whole, rest) = grad.as_chunks_mut::<LANES>();
    let slopes = slopes.map(V::splat);
    for (c, grad) in whole.iter_mut().enumerate() {
        if let (Some(soon), true) = (soon, c % 2 == 1) {
            soon.iter().for_each(|soon| ask(soon.wrapping_add(c * LANES).cast(), 1));
        }
        let mut sum = V::load(grad);
        for r in 0..M {
            sum = sum.add_product(slopes[r], V::load(&x[r].0[c]));
        }
        sum.store(grad);
    }
    if !rest.is_empty() {
        let mut sum = V::load_part(rest);
        for r in 0..M {
            sum = sum.add_product(slopes[r], V::load_part(x[r].1));
        }
        sum.store_part(rest);
    }
}

/// x . w of M rows; asks for every other line from each `soon` on.
#[inline(always)]
pub(super) fn dots<V: Lanes, const M: usize>(x: [&[f64]; M], w: &[f64], soon: Option<[*const f64; M]>) -> [f64; M] {
    let (whole, rest) = w.as_chunks::<LANES>();
    let x = x.map(|x| x[..w.len()].as_chunks::<LANES>());
    let mut sums = [V::zero(); M];
    for (c, lanes) in whole.iter().enumerate() {
        let lanes = V::load(lanes);
        if let (Some(soon), true) = (soon, c % 2 == 0) {
            soon.iter().for_each(|soon| ask(soon.wrapping_add(c * LANES).cast(), 1));
        }
        for r in 0..M {
            sums[r] = sums[r].add_product(V::load(&x[r].0[c]), lanes);
        }
    }
    if let Some(soon) = soon {
        soon.iter().for_each(|soon| ask(soon.wrapping_add(w.len() - 1).cast(), 1));
    }
    if !rest.is_empty() {
        let lanes = V::load_part(rest);
        for r in 0..M {
            sums[r] = sums[r].add_product(V::load_part(x[r].1), lanes);
        }
    }
    totals(sums)
}

/// At most C lanes of numbers, and zeros.
#[inline(always)]
pub(super) fn padded<V: Lanes, const C: usize>(values: &[f64]) -> [V; C] {
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
pub(super) fn unpadded<V: Lanes, const C: usize>(lanes: [V; C], values: &mut [f64]) {
    let (whole, rest) = values.as_chunks_mut::<LANES>();
    for (c, lanes) in lanes.into_iter().enumerate() {
        if let Some(whole) = whole.get_mut(c) {
            lanes.store(whole);
        } else if c == whole.len() {
            lanes.store_part(rest);
        }
    }
}

/// The first C lanes.
#[inline(always)]
pub(super) fn several<V: Lanes, const C: usize>(values: &[f64]) -> [V; C] {
    let (mut lanes, (values, _)) = ([V::zero(); C], values[..C * LANES].as_chunks::<LANES>());
    for c in 0..C {
        lanes[c] = V::load(&values[c]);
    }
    lanes
}
