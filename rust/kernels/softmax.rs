//! Softmax: how likely classes are by raw predictions, of eight rows at once or of rows that step in turn, with a
//! logarithm that works on lanes and is right to two units in the last place.

use std::ops::Range;

use super::lanes::{LANES, Lanes};
use super::{Moves, TURN, Work};
use crate::exponential::{FAR, exp_by};

pub(super) struct Softmax<'a> {
    pub raw: &'a mut [f64],
    pub y: &'a [f64],
    pub s: &'a [f64],
    pub outputs: usize,
    pub sum: &'a mut f64,
}

/// Lanes of outputs for which no memory is asked.
const FEW: usize = 2;
const NONE: [f64; LANES] = [0.0; LANES];

impl Work for Softmax<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Softmax { raw, y, s, outputs, sum } = self;
        if y.len() == 1 {
            let moves = &Moves { scales: [1.0; TURN], ..Moves::default() };
            return InTurn { raw, y, s, outputs, moves, sum }.run::<V>();
        }
        let (mut few, mut many) = ([NONE; FEW * LANES], Vec::new());
        if outputs > FEW * LANES {
            many.resize(outputs.next_multiple_of(LANES), NONE);
        }
        let e = if many.is_empty() { &mut few[..] } else { &mut many };
        for ((raw, y), first) in raw.chunks_mut(LANES * outputs).zip(y.chunks(LANES)).zip((0..).step_by(LANES)) {
            *sum += eight::<V>(raw, y, weights(s.get(first..).unwrap_or(&[])), outputs, e);
        }
    }
}

/// Weights of up to eight rows, or 1.
#[inline(always)]
fn weights(s: &[f64]) -> [f64; LANES] {
    let mut weights = [1.0; LANES];
    for (weight, s) in weights.iter_mut().zip(s) {
        *weight = *s;
    }
    weights
}

/// Of up to eight rows: that of class k is in e[k], of row r in lane r.
#[inline(always)]
fn eight<V: Lanes>(raw: &mut [f64], y: &[f64], s: [f64; LANES], outputs: usize, e: &mut [[f64; LANES]]) -> f64 {
    let (lanes, mut top) = (outputs.div_ceil(LANES), [f64::NEG_INFINITY; LANES]);
    for (c, e) in e.chunks_exact_mut(LANES).take(lanes).enumerate() {
        let mut rows = [V::zero(); LANES];
        for (row, raw) in rows.iter_mut().zip(raw.chunks_exact(outputs)) {
            *row = behind::<V>(&raw[c * LANES..]);
        }
        for (e, column) in e.iter_mut().zip(V::columns(rows)) {
            column.store(e);
            top = larger(*e, top);
        }
    }
    let (mut short, mut of_y, mut others) = (NONE, [1.0; LANES], NONE);
    for (r, (raw, y)) in raw.chunks_exact(outputs).zip(y).enumerate() {
        short[r] = top[r] - raw[*y as usize];
    }
    for e in e.iter_mut().take(outputs) {
        V::load(&exponentials::<V>(*e, top)).store(e);
    }
    for (r, y) in y.iter().enumerate() {
        of_y[r] = std::mem::take(&mut e[*y as usize][r]); // what is summed apart does not cancel
    }
    let mut sums = [V::zero(); LANES]; // in the order of `total`
    for (k, e) in e.iter().take(outputs).enumerate() {
        sums[k % LANES] = sums[k % LANES].add(V::load(e));
    }
    let even = sums[0].add(sums[4]).add(sums[2].add(sums[6]));
    let sum = even.add(sums[1].add(sums[5]).add(sums[3].add(sums[7])));
    let by = V::load(&s).over(sum.add(V::load(&of_y)));
    for (c, e) in e.chunks_exact(LANES).take(lanes).enumerate() {
        let mut columns = [V::zero(); LANES];
        for (column, e) in columns.iter_mut().zip(e) {
            *column = V::zero().add_product(V::load(e), by);
        }
        for (row, raw) in V::columns(columns).into_iter().zip(raw.chunks_exact_mut(outputs)) {
            put(row, &mut raw[c * LANES..]);
        }
    }
    let mut factor = NONE;
    sum.store(&mut others);
    by.store(&mut factor);
    for (r, (raw, y)) in raw.chunks_exact_mut(outputs).zip(y).enumerate() {
        raw[*y as usize] = -others[r] * factor[r];
    }
    values::<V>(others, short, s)[..y.len()].iter().sum()
}

/// Of up to eight rows that step in turn: `raw` becomes their steps.
pub(super) struct InTurn<'a> {
    pub raw: &'a mut [f64],
    pub y: &'a [f64],
    pub s: &'a [f64],
    pub outputs: usize,
    pub moves: &'a Moves,
    pub sum: &'a mut f64,
}

impl Work for InTurn<'_> {
    /// Compiled for a few numbers of lanes, so that those of a row stay in registers.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let rows = self.y.len();
        match self.outputs.div_ceil(LANES) {
            1 => self.with::<V>(&mut [NONE; TURN], &mut [NONE; 1], &mut [NONE; 1]),
            2 => self.with::<V>(&mut [NONE; 2 * TURN], &mut [NONE; 2], &mut [NONE; 2]),
            c => self.with::<V>(&mut vec![NONE; c * rows], &mut vec![NONE; c], &mut vec![NONE; c]),
        }
    }
}

impl InTurn<'_> {
    /// With room for the steps of all rows, for what a row finds, and for the latest step.
    #[inline(always)]
    fn with<V: Lanes>(self, all: &mut [[f64; LANES]], found: &mut [[f64; LANES]], latest: &mut [[f64; LANES]]) {
        let InTurn { raw, y, s, outputs, moves, sum } = self;
        let (lanes, tops, s) = (found.len(), tops::<V>(raw, outputs), weights(s));
        let (mut others, mut short) = (NONE, NONE);
        for (r, (raw, y)) in raw.chunks_exact(outputs).zip(y).enumerate() {
            for (c, found) in found.iter_mut().enumerate() {
                behind::<V>(&raw[c * LANES..]).store(found);
            }
            let (before, steps) = all.split_at_mut(r * lanes);
            let last = r.saturating_sub(1);
            for (q, steps) in before.chunks_exact(lanes).take(last).enumerate() {
                add::<V>(found, moves.shared[q][r], steps);
            }
            add::<V>(found, moves.shared[last][r], latest); // which is none for the first
            (others[r], short[r]) =
                one::<V>(found, latest, &mut steps[..lanes], (*y as usize, outputs), tops[r], moves.scales[r] * s[r]);
        }
        for (steps, raw) in all.chunks_exact(lanes).zip(raw.chunks_exact_mut(outputs)) {
            for (c, steps) in steps.iter().enumerate() {
                put(V::load(steps), &mut raw[c * LANES..]);
            }
        }
        *sum += values::<V>(others, short, s)[..y.len()].iter().sum::<f64>();
    }
}

/// found += shared steps
#[inline(always)]
fn add<V: Lanes>(found: &mut [[f64; LANES]], shared: f64, steps: &[[f64; LANES]]) {
    for (found, steps) in found.iter_mut().zip(steps) {
        V::load(found).add_product(V::splat(shared), V::load(steps)).store(found);
    }
}

/// The same of a single row, to the bit, where its largest prediction is `top` or was so before the turn: its classes
/// are in the lanes. The slopes times `scale` go into `slopes`, and into `room`, too, where any of them can be looked
/// at. Returns what `values` asks for.
#[inline(always)]
fn one<V: Lanes>(
    raw: &[[f64; LANES]],
    slopes: &mut [[f64; LANES]],
    room: &mut [[f64; LANES]],
    (y, outputs): (usize, usize),
    mut top: f64,
    scale: f64,
) -> (f64, f64) {
    loop {
        room.copy_from_slice(raw);
        let (short, mut sum) = (top - room.as_flattened()[y], V::zero());
        for (c, (raw, e)) in raw.iter().zip(&mut *slopes).enumerate() {
            let own = V::load(&exponentials::<V>(*raw, [top; LANES])).and_from(outputs - c * LANES, V::zero());
            own.store(e);
            sum = sum.add(with(own, y, c, V::zero()));
        }
        room.copy_from_slice(slopes);
        let (others, of_y) = (sum.total(), room.as_flattened()[y]);
        if !NEAR_BY.contains(&(others + of_y)) {
            room.copy_from_slice(raw);
            let now = largest(room);
            if now != top {
                top = now;
                continue;
            }
        }
        let factor = V::splat(scale / (others + of_y));
        for (c, slopes) in slopes.iter_mut().enumerate() {
            V::zero().add_product(with(V::load(slopes), y, c, V::splat(-others)), factor).store(slopes);
        }
        room.copy_from_slice(slopes);
        return (others, short);
    }
}

/// The sum of exponentials where a row's largest prediction has not gone far.
const NEAR_BY: Range<f64> = 1e-9..1e9;

/// The largest of each of up to eight rows.
#[inline(always)]
fn tops<V: Lanes>(raw: &[f64], outputs: usize) -> [f64; TURN] {
    let (mut rows, mut tops) = ([V::zero(); TURN], [f64::NEG_INFINITY; TURN]);
    for (row, raw) in rows.iter_mut().zip(raw.chunks_exact(outputs)) {
        let mut top = [f64::NEG_INFINITY; LANES];
        for c in 0..outputs.div_ceil(LANES) {
            let mut own = NONE;
            behind::<V>(&raw[c * LANES..]).store(&mut own);
            top = larger(own, top);
        }
        *row = V::load(&top);
    }
    for column in V::columns(rows) {
        let mut own = NONE;
        column.store(&mut own);
        tops = larger(own, tops);
    }
    tops
}

/// The largest of a row.
#[inline(always)]
fn largest(raw: &[[f64; LANES]]) -> f64 {
    raw.as_flattened().iter().fold(f64::NEG_INFINITY, |top, &raw| if raw > top { raw } else { top })
}

/// The larger ones.
#[inline(always)]
fn larger(a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
    let mut larger = NONE;
    for l in 0..LANES {
        larger[l] = if a[l] > b[l] { a[l] } else { b[l] };
    }
    larger
}

/// The first eight numbers, with what is smaller than any behind fewer.
#[inline(always)]
fn behind<V: Lanes>(raw: &[f64]) -> V {
    match raw.first_chunk() {
        Some(raw) => V::load(raw),
        None => V::load_part(raw).and_from(raw.len(), V::splat(f64::NEG_INFINITY)),
    }
}

/// Lanes into the first eight places, or fewer.
#[inline(always)]
fn put<V: Lanes>(lanes: V, raw: &mut [f64]) {
    match raw.first_chunk_mut() {
        Some(raw) => lanes.store(raw),
        None => lanes.store_part(raw),
    }
}

/// Where exp(short) is beyond everything but far from infinite.
const SHORT: f64 = 600.0;

/// Losses of eight rows, times their weights: log(1 + others exp(short)), with `others` the sum of exponentials of all
/// classes but y less some number, and `short` what y lacks to that.
#[inline(always)]
fn values<V: Lanes>(others: [f64; LANES], short: [f64; LANES], weight: [f64; LANES]) -> [f64; LANES] {
    let mut values = [0.0; LANES];
    for l in 0..LANES {
        let near = if short[l] > SHORT { SHORT } else { short[l] };
        values[l] = weight[l] * ((short[l] - near) + ln_1p::<V>(others[l] * within::<V>(near)));
    }
    values
}

/// exp(raw - top)
#[inline(always)]
fn exponentials<V: Lanes>(raw: [f64; LANES], top: [f64; LANES]) -> [f64; LANES] {
    let mut e = raw;
    for l in 0..LANES {
        e[l] -= top[l];
    }
    for e in &mut e {
        *e = within::<V>(*e);
    }
    e
}

/// exp(x), at most that of `FAR`, and 0 below -`FAR`: a processor may take long over smaller numbers. By bits, as no lane
/// is to branch.
#[inline(always)]
fn within<V: Lanes>(x: f64) -> f64 {
    let kept = u64::from(x < -FAR).wrapping_sub(1);
    let x = if x < -FAR { -FAR } else { x };
    f64::from_bits(exp_by(if x > FAR { FAR } else { x }, V::add_one).to_bits() & kept)
}

/// The c-th lanes, but for y, if it is there, that of `other`.
#[inline(always)]
fn with<V: Lanes>(lanes: V, y: usize, c: usize, other: V) -> V {
    let place = |k: usize| k.saturating_sub(c * LANES).min(LANES);
    lanes.and_from(place(y), other).and_from(place(y + 1), lanes)
}

/// ln 2, its first 33 bits and the others.
const LN_2: [f64; 2] = [0.6931471803691238, 1.9082149292705877e-10];
/// 1 / 23, 1 / 21, ..., 1 / 3
const ODD: [f64; 11] = {
    let (mut all, mut at) = ([0.0; 11], 0);
    while at < 11 {
        all[at] = 1.0 / (23 - 2 * at) as f64;
        at += 1;
    }
    all
};
/// The bits of 1 / sqrt(2), and those of 2^52.
const HALF_ROOT: u64 = 0x3fe6_a09e_667f_3bcd;
const WHOLE: u64 = 0x4330_0000_0000_0000;

/// ln(1 + x) for any x >= 0 (`exponential` has it for x up to 1, sooner): of 2^k m, m within a root of 2 of 1, it is k
/// ln(2) + 2 artanh(a), a = (m - 1) / (m + 1).
#[inline(always)]
fn ln_1p<V: Lanes>(x: f64) -> f64 {
    let one = 1.0 + x;
    let lost = x - (one - 1.0);
    let exponent = one.to_bits().wrapping_sub(HALF_ROOT) >> 52;
    let m = f64::from_bits(one.to_bits().wrapping_sub(exponent << 52));
    let k = f64::from_bits(exponent | WHOLE) - f64::from_bits(WHOLE);
    let a = (m - 1.0) / (m + 1.0);
    let (square, mut sum) = (a * a, ODD[0]);
    for c in &ODD[1..] {
        sum = V::add_one(*c, sum, square);
    }
    let rest = V::add_one(k * LN_2[1] + lost / one, 2.0 * a * square, sum);
    k * LN_2[0] + (2.0 * a + rest)
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::*;

    #[test]
    fn logarithms_are_right_to_the_last_digits() {
        for i in 0..20_000 {
            let x = 10f64.powf(f64::from(i) / 1000.0 - 17.0);
            let (found, expected) = (ln_1p::<Plain>(x), x.ln_1p());
            assert!((found - expected).abs() <= 4.5e-16 * expected, "ln_1p({x}): {found} {expected}");
        }
        assert_eq!(ln_1p::<Plain>(0.0), 0.0);
        assert!(ln_1p::<Plain>(f64::NAN).is_nan());
    }
}
