//! Exponential: exp, and log(1 + x) for x from 0 to 1, without branches or calls, so that blocks of numbers go through
//! the processor's lanes. Off by two units in the last place at most; the same bits on every instruction set, `exp_by`
//! aside.

/// Adding it leaves the nearest whole number in the lowest bits: 3/2 2^52.
const WHOLE: f64 = 6_755_399_441_055_744.0;
/// log 2, cut so that its products with exponents are exact, and what is missing.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
/// Where e^x is 0, and where it is infinite.
const LOWEST: f64 = -746.0;
const HIGHEST: f64 = 710.0;

/// e^x
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let x = if x < LOWEST { LOWEST } else { x };
    let x = if x > HIGHEST { HIGHEST } else { x }; // a NaN stays what it is
    let (series, k) = series(x, |sum, a, b| sum + a * b);
    let half = (k * 0.5 + WHOLE) - WHOLE; // in two factors, as 2^k may be too small or too large a number
    series * power(half) * power(k - half)
}

/// Where `exp_by` is right: up to so far from 0.
pub const FAR: f64 = 700.0;

/// e^x of |x| <= `FAR`, by whoever adds a product to a sum at once if they can.
#[inline(always)]
pub fn exp_by(x: f64, add: impl Fn(f64, f64, f64) -> f64) -> f64 {
    let (series, k) = series(x, add);
    series * power(k)
}

/// e^x = 2^k e^r with |r| <= log(2) / 2: the series of e^r, and k.
#[inline(always)]
fn series(x: f64, add: impl Fn(f64, f64, f64) -> f64) -> (f64, f64) {
    let k = add(WHOLE, x, std::f64::consts::LOG2_E) - WHOLE;
    let r = add(add(x, -k, LN_2_HIGH), -k, LN_2_LOW);
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let four = |at: usize| add(add(C[at], r, C[at + 1]), r2, add(C[at + 2], r, C[at + 3]));
    let (low, middle, high) = (four(2), four(6), four(10));
    (1.0 + add(r, r2, add(low, r4, add(middle, r4, high))), k)
}

/// 2^k, for a whole k of a normal number.
#[inline(always)]
fn power(k: f64) -> f64 {
    f64::from_bits((k + (WHOLE + 1023.0)).to_bits() << 52)
}

/// 1 / k!
const C: [f64; 14] = {
    let (mut c, mut k) = ([1.0; 14], 1);
    while k < 14 {
        c[k] = c[k - 1] / k as f64;
        k += 1;
    }
    c
};

/// Terms of the sigmoid's series, and how far from where it begins these are right to the last place or two.
pub const TERMS: usize = 10;
pub const NEAR: f64 = 1.0 / 16.0;

/// 1 / (1 + e^-(x + h)) = sum_k c_k h^k: the c_k from k = 1 on, where `u` is p (1 - p) and `v` is 1 - 2 p of p, the
/// sigmoid of x itself.
#[inline(always)]
pub fn bends(u: f64, v: f64) -> [f64; TERMS] {
    let mut c = [0.0; TERMS];
    for k in 1..TERMS {
        let mut sum = 0.0;
        for &factor in BENDS[k][..k.div_ceil(2)].iter().rev() {
            sum = factor + u * sum;
        }
        c[k] = u * sum;
        if k % 2 == 0 {
            c[k] *= v;
        }
    }
    c
}

/// Factors of the c_k: as p' = u, u' = u v, v' = -2 u and v^2 = 1 - 4 u, each is a polynomial q of u, times v if k is
/// even. The next is the derivative over k + 1: of q, v times u dq/du; of v q, (1 - 4 u) u dq/du - 2 u q. Each has the
/// factor u, which is left out.
const BENDS: [[f64; TERMS / 2]; TERMS] = {
    let (mut bends, mut k) = ([[0.0; TERMS / 2]; TERMS], 1);
    bends[1][0] = 1.0;
    while k + 1 < TERMS {
        let mut j = 0;
        while j < TERMS / 2 {
            let power = (j + 1) as f64;
            let mut next = power * bends[k][j];
            if k % 2 == 0 && j > 0 {
                next -= (4.0 * power - 2.0) * bends[k][j - 1];
            }
            bends[k + 1][j] = next / (k + 1) as f64;
            j += 1;
        }
        k += 1;
    }
    bends
};

/// log(1 + x) for x from 0 to 1: log(1 + f), or that and log 2, for an f from 1/sqrt(2) - 1 to sqrt(2) - 1. With
/// s = f / (2 + f) it is 2 (s + s^3 / 3 + s^5 / 5 + ...) = f - f^2 / 2 + s (f^2 / 2 + 2 (s^2 / 3 + s^4 / 5 + ...)).
#[inline(always)]
pub fn ln_1p(x: f64) -> f64 {
    let large = x > std::f64::consts::SQRT_2 - 1.0;
    let f = if large { 0.5 * (x - 1.0) } else { x };
    let s = f / (2.0 + f);
    let z = s * s;
    let (z2, z4) = (z * z, (z * z) * (z * z));
    let low = (D[0] + z * D[1]) + z2 * (D[2] + z * D[3]);
    let high = (D[4] + z * D[5]) + z2 * (D[6] + z * D[7]) + z4 * (D[8] + z * D[9] + z2 * D[10]);
    let (series, half) = (z * (low + z4 * high), 0.5 * f * f);
    let log = f - (half - s * (half + series));
    if large { log + std::f64::consts::LN_2 } else { log }
}

/// 2 / (2 k + 3)
const D: [f64; 11] = {
    let (mut d, mut k) = ([0.0; 11], 0);
    while k < 11 {
        d[k] = 2.0 / (2 * k + 3) as f64;
        k += 1;
    }
    d
};

#[cfg(test)]
mod tests {
    use super::*;

    /// In units of the last place of what is right.
    fn apart(found: f64, right: f64) -> f64 {
        if found == right || (found.is_nan() && right.is_nan()) {
            return 0.0;
        }
        (found - right).abs() / (f64::from_bits(right.to_bits() + 1) - right)
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        for i in -200_000..=200_000 {
            let x = f64::from(i) * 0.003_7;
            assert!(apart(exp(x), x.exp()) <= 2.0, "{x}: {} {}", exp(x), x.exp());
            let far = f64::from(i) / 200_000.0 * FAR;
            let found = [exp_by(far, |sum, a, b| sum + a * b), exp_by(far, |sum, a, b| a.mul_add(b, sum))];
            assert!(found.iter().all(|&found| apart(found, far.exp()) <= 2.0), "{far}: {found:?}");
            let small = f64::from(i) * 1e-12;
            assert!(apart(exp(small), small.exp()) <= 2.0, "{small}");
        }
        for x in [0.0, -0.0, 709.78, 709.79, 1e300, f64::INFINITY, -745.0, -745.2, -1e300, f64::NEG_INFINITY, f64::NAN]
        {
            assert!(apart(exp(x), x.exp()) <= 1.0, "{x}: {} {}", exp(x), x.exp());
        }
        assert_eq!((exp(0.0), exp(f64::INFINITY), exp(f64::NEG_INFINITY)), (1.0, f64::INFINITY, 0.0));
    }

    #[test]
    fn logarithms_are_those_of_the_library() {
        for i in 0..=400_000 {
            let x = f64::from(i) / 400_000.0;
            for x in [x, x * 1e-8, x * 1e-300, (-745.0 * x).exp()] {
                assert!(apart(ln_1p(x), x.ln_1p()) <= 2.0, "{x}: {} {}", ln_1p(x), x.ln_1p());
            }
        }
        assert!(ln_1p(f64::NAN).is_nan());
    }
}
