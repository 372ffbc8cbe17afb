//! Softmax: how likely classes are by raw predictions, eight rows at once, with an exponential and a logarithm that work
//! on lanes. Both are right to two units in the last place.

use super::Work;
use super::lanes::{LANES, Lanes};

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
                    e[l] = exp::<V>(e[l] - top[l]);
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
            *e = exp::<V>(*e);
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

/// Below it exp(x) has lost digits; as nothing is next to it, exp of it stands for all of these.
const LEAST: f64 = -708.0;
/// Adding it leaves the nearest integer in the last bits.
const INTEGER: f64 = 6755399441055744.0;
/// ln 2, its first 33 bits and the others.
const LN_2: [f64; 2] = [0.6931471803691238, 1.9082149292705877e-10];
/// 1 / k! for k = 13, 12, ..., 0
const FACTORIALS: [f64; 14] = {
    let (mut all, mut k, mut product) = ([1.0; 14], 1, 1.0);
    while k < 14 {
        product *= k as f64;
        all[13 - k] = 1.0 / product;
        k += 1;
    }
    all
};

/// exp(x) for x <= 0: 2^k exp(r), |r| up to ln(2) / 2, by Taylor's series.
#[inline(always)]
fn exp<V: Lanes>(x: f64) -> f64 {
    let x = if x < LEAST { LEAST } else { x };
    let shifted = V::add_one(INTEGER, x, std::f64::consts::LOG2_E);
    let k = shifted - INTEGER;
    let r = V::add_one(V::add_one(x, k, -LN_2[0]), k, -LN_2[1]);
    let mut sum = FACTORIALS[0];
    for c in &FACTORIALS[1..] {
        sum = V::add_one(*c, sum, r);
    }
    sum * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1f64.to_bits()))
}

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

/// ln(1 + x) for x >= 0: of 2^k m, m within a root of 2 of 1, it is k ln(2) + 2 artanh(a), a = (m - 1) / (m + 1).
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
    fn exponentials_and_logarithms_are_right_to_the_last_digits() {
        for i in 0..20_000 {
            let x = -708.0 * (f64::from(i) / 20_000.0).powi(3);
            let (found, expected) = (exp::<Plain>(x), x.exp());
            assert!((found - expected).abs() <= 4.5e-16 * expected, "exp({x}): {found} {expected}");
            let x = 10f64.powf(f64::from(i) / 1000.0 - 17.0);
            let (found, expected) = (ln_1p::<Plain>(x), x.ln_1p());
            assert!((found - expected).abs() <= 4.5e-16 * expected, "ln_1p({x}): {found} {expected}");
        }
        assert_eq!((exp::<Plain>(0.0), ln_1p::<Plain>(0.0)), (1.0, 0.0));
        assert!(exp::<Plain>(-1e308) < 1e-300 && exp::<Plain>(f64::NEG_INFINITY) < 1e-300);
        assert!(exp::<Plain>(f64::NAN).is_nan() && ln_1p::<Plain>(f64::NAN).is_nan());
    }
}
