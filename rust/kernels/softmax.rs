//! Softmax: how likely classes are by raw predictions, eight rows at once, with a logarithm that works on lanes and is
//! right to two units in the last place.

use super::Work;
use super::lanes::{LANES, Lanes};
use crate::exponential::exp;

pub(super) struct Softmax<'a> {
    pub raw: &'a mut [f64],
    pub y: &'a [f64],
    pub s: &'a [f64],
    pub outputs: usize,
    pub sum: &'a mut f64,
}

impl Work for Softmax<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Softmax { raw, y, s, outputs, sum } = self;
        if let [y] = y {
            *sum = one::<V>(raw, *y as usize, s.first().copied().unwrap_or(1.0));
            return;
        }
        let mut e = vec![[0.0; LANES]; outputs]; // of class k in e[k], of row r in lane r
        for (at, (raw, y)) in raw.chunks_mut(LANES * outputs).zip(y.chunks(LANES)).enumerate() {
            let starts: [usize; LANES] = std::array::from_fn(|r| r.min(y.len() - 1) * outputs);
            let mut top = [f64::NEG_INFINITY; LANES];
            for (k, e) in e.iter_mut().enumerate() {
                for l in 0..LANES {
                    e[l] = raw[starts[l] + k];
                }
                for l in 0..LANES {
                    top[l] = if e[l] > top[l] { e[l] } else { top[l] };
                }
            }
            let mut short = [0.0; LANES];
            for (r, y) in y.iter().enumerate() {
                short[r] = top[r] - raw[starts[r] + *y as usize];
            }
            for e in &mut e {
                for l in 0..LANES {
                    e[l] = exp(e[l] - top[l]);
                }
            }
            let (mut of_y, mut others, mut factor) = ([1.0; LANES], [0.0; LANES], [1.0; LANES]);
            for (r, y) in y.iter().enumerate() {
                of_y[r] = std::mem::take(&mut e[*y as usize][r]); // what is summed apart does not cancel
            }
            for e in &e {
                for l in 0..LANES {
                    others[l] += e[l];
                }
            }
            for (factor, s) in factor.iter_mut().zip(s.get(at * LANES..).unwrap_or(&[])) {
                *factor = *s;
            }
            let mut value = [0.0; LANES];
            for l in 0..LANES {
                value[l] = factor[l] * (short[l] + ln_1p::<V>(others[l] + (of_y[l] - 1.0)));
                factor[l] /= others[l] + of_y[l];
            }
            for (r, (raw, y)) in raw.chunks_exact_mut(outputs).zip(y).enumerate() {
                for (raw, e) in raw.iter_mut().zip(&e) {
                    *raw = e[r] * factor[r];
                }
                raw[*y as usize] = -others[r] * factor[r];
                *sum += value[r];
            }
        }
    }
}

/// The same of a single row, to the bit: its classes are in the lanes.
#[inline(always)]
fn one<V: Lanes>(raw: &mut [f64], y: usize, s: f64) -> f64 {
    let mut top = f64::NEG_INFINITY;
    for raw in &*raw {
        top = if *raw > top { *raw } else { top };
    }
    let short = top - raw[y];
    for raw in raw.chunks_mut(LANES) {
        let mut e = [0.0; LANES];
        for (e, raw) in e.iter_mut().zip(&*raw) {
            *e = raw - top;
        }
        for e in &mut e {
            *e = exp(*e);
        }
        for (raw, e) in raw.iter_mut().zip(e) {
            *raw = e;
        }
    }
    let of_y = std::mem::take(&mut raw[y]);
    let mut others = 0.0;
    for e in &*raw {
        others += e;
    }
    let factor = s / (others + of_y);
    for e in &mut *raw {
        *e *= factor;
    }
    raw[y] = -others * factor;
    s * (short + ln_1p::<V>(others + (of_y - 1.0)))
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
