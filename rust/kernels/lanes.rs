//! Lanes: eight numbers that are worked on at once, as one, two or four registers of the processor, or none.

use super::Element;

/// Numbers that are worked on at once.
pub(super) const LANES: usize = 8;

/// Four numbers at the beginning of each of eight rows, one every `stride` numbers.
#[inline(always)]
#[allow(unsafe_code, reason = "one look at the length for all rows")]
pub(super) fn fours_of<T: Element>(x: &[T], stride: usize) -> [&[T; 4]; LANES] {
    assert!(stride <= x.len() && (LANES - 1) * stride + 4 <= x.len(), "eight rows of four numbers");
    // SAFETY: the last row ends within `x`, and the others begin before it; no slice of numbers is so long that eight
    // times its length overflows.
    std::array::from_fn(|r| unsafe { &*x.as_ptr().add(r * stride).cast() })
}

/// One of the registers that eight numbers take.
pub(super) trait Register: Copy {
    /// How many registers hold eight.
    const COUNT: usize = LANES * size_of::<f64>() / size_of::<Self>();
    /// The `part`-th of the registers that hold these.
    fn load(x: &[f64; LANES], part: usize) -> Self;
    fn store(self, x: &mut [f64; LANES], part: usize);
    fn times(self, other: Self) -> Self;
    /// self + a b
    fn add_product(self, a: Self, b: Self) -> Self;

    #[inline(always)]
    fn zero() -> Self {
        Self::load(&[0.0; LANES], 0)
    }
}

/// Eight sums. A product and the sum it goes into are rounded once where the processor can.
pub(super) trait Lanes: Copy {
    /// Whether there are registers for a dozen of them.
    const MANY: bool = false;
    type Register: Register;
    fn splat(value: f64) -> Self;
    fn load(x: &[f64; LANES]) -> Self;
    /// The first numbers of fewer than eight, and zeros.
    fn load_part(x: &[f64]) -> Self;
    /// The last `count` of eight numbers, and zeros before them.
    fn load_last(x: &[f64; LANES], count: usize) -> Self;
    /// The same of numbers that are half as long.
    fn load_half(x: &[f32; LANES]) -> Self;
    fn load_half_part(x: &[f32]) -> Self;
    fn load_half_last(x: &[f32; LANES], count: usize) -> Self;
    /// Four numbers and four others.
    fn pair(low: &[f64; 4], high: &[f64; 4]) -> Self;
    fn pair_half(low: &[f32; 4], high: &[f32; 4]) -> Self;
    fn store(self, x: &mut [f64; LANES]);
    /// The first numbers into fewer than eight places.
    #[inline(always)]
    fn store_part(self, x: &mut [f64]) {
        let mut all = [0.0; LANES];
        self.store(&mut all);
        for (x, lane) in x.iter_mut().zip(all) {
            *x = lane;
        }
    }
    fn add(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn over(self, other: Self) -> Self;
    /// The bits of either.
    fn either(self, other: Self) -> Self;
    /// self + a b
    fn add_product(self, a: Self, b: Self) -> Self;
    /// ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)), whatever the registers.
    fn total(self) -> f64;
    /// The totals of four.
    #[inline(always)]
    fn totals(four: [Self; 4]) -> [f64; 4] {
        let [a, b, c, d] = four;
        [a.total(), b.total(), c.total(), d.total()]
    }
    /// The totals of eight, one a lane.
    #[inline(always)]
    fn sums([a, b, c, d, e, f, g, h]: [Self; LANES]) -> Self {
        Self::pair(&Self::totals([a, b, c, d]), &Self::totals([e, f, g, h]))
    }
    /// Columns of eight rows: lane r of the j-th is lane j of row r.
    fn columns(rows: [Self; LANES]) -> [Self; LANES];
    /// Columns of eight rows of four: each of these holds two of the rows, 0 and 2, 1 and 3, 4 and 6, or 5 and 7.
    fn turned(pairs: [Self; 4]) -> [Self; 4];
    /// These lanes, but from `at` on those of `other`, whatever is in either.
    fn and_from(self, at: usize, other: Self) -> Self;
    /// sum + a b of single numbers
    fn add_one(sum: f64, a: f64, b: f64) -> f64;
    /// Whether every lane is less than that of `reach` away from 0.
    fn within(self, reach: Self) -> bool;

    /// One of the lanes in all of them.
    #[inline(always)]
    fn lane(self, l: usize) -> Self {
        let mut all = [0.0; LANES];
        self.store(&mut all);
        Self::splat(all[l])
    }

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }
}

/// As the architecture has them.
#[derive(Clone, Copy)]
pub(super) struct Plain([f64; LANES]);

impl Register for [f64; 2] {
    #[inline(always)]
    fn load(x: &[f64; LANES], part: usize) -> Self {
        x.as_chunks().0[part]
    }

    #[inline(always)]
    fn store(self, x: &mut [f64; LANES], part: usize) {
        x.as_chunks_mut().0[part] = self;
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        [self[0] * other[0], self[1] * other[1]]
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        [self[0] + a[0] * b[0], self[1] + a[1] * b[1]]
    }
}

impl Lanes for Plain {
    type Register = [f64; 2];

    #[inline(always)]
    fn splat(value: f64) -> Self {
        Plain([value; LANES])
    }

    #[inline(always)]
    fn load(x: &[f64; LANES]) -> Self {
        Plain(*x)
    }

    #[inline(always)]
    fn load_part(x: &[f64]) -> Self {
        Plain(std::array::from_fn(|l| x.get(l).copied().unwrap_or(0.0)))
    }

    #[inline(always)]
    fn load_last(x: &[f64; LANES], count: usize) -> Self {
        Plain(std::array::from_fn(|l| if l + count < LANES { 0.0 } else { x[l] }))
    }

    #[inline(always)]
    fn load_half_last(x: &[f32; LANES], count: usize) -> Self {
        Self::load_last(&x.map(f64::from), count)
    }

    #[inline(always)]
    fn load_half(x: &[f32; LANES]) -> Self {
        Plain(x.map(f64::from))
    }

    #[inline(always)]
    fn load_half_part(x: &[f32]) -> Self {
        Plain(std::array::from_fn(|l| x.get(l).copied().map_or(0.0, f64::from)))
    }

    #[inline(always)]
    fn store(self, x: &mut [f64; LANES]) {
        *x = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Plain(std::array::from_fn(|l| self.0[l] + other.0[l]))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Plain(std::array::from_fn(|l| self.0[l] - other.0[l]))
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        Plain(std::array::from_fn(|l| self.0[l] / other.0[l]))
    }

    #[inline(always)]
    fn and_from(self, at: usize, other: Self) -> Self {
        Plain(std::array::from_fn(|l| if l < at { self.0[l] } else { other.0[l] }))
    }

    #[inline(always)]
    fn either(self, other: Self) -> Self {
        Plain(std::array::from_fn(|l| f64::from_bits(self.0[l].to_bits() | other.0[l].to_bits())))
    }

    #[inline(always)]
    fn pair(low: &[f64; 4], high: &[f64; 4]) -> Self {
        Plain(std::array::from_fn(|l| if l < 4 { low[l] } else { high[l - 4] }))
    }

    #[inline(always)]
    fn pair_half(low: &[f32; 4], high: &[f32; 4]) -> Self {
        Self::pair(&low.map(f64::from), &high.map(f64::from))
    }

    #[inline(always)]
    fn turned([a, b, c, d]: [Self; 4]) -> [Self; 4] {
        std::array::from_fn(|j| {
            let (a, b, c, d) = ([a.0[j], a.0[4 + j]], [b.0[j], b.0[4 + j]], [c.0[j], c.0[4 + j]], [d.0[j], d.0[4 + j]]);
            Plain([a[0], b[0], a[1], b[1], c[0], d[0], c[1], d[1]])
        })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        Plain(std::array::from_fn(|l| self.0[l] + a.0[l] * b.0[l]))
    }

    #[inline(always)]
    fn total(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    fn columns(rows: [Self; LANES]) -> [Self; LANES] {
        std::array::from_fn(|j| Plain(std::array::from_fn(|r| rows[r].0[j])))
    }

    #[inline(always)]
    fn add_one(sum: f64, a: f64, b: f64) -> f64 {
        sum + a * b
    }

    #[inline(always)]
    fn within(self, reach: Self) -> bool {
        (0..LANES).all(|l| self.0[l].abs() < reach.0[l])
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the processor's own instructions")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes, Register};

    /// Two registers of four.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256d, __m256d);

    /// One register of eight.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512d);

    // SAFETY, of every block below: these types are only named by `run`, after the processor said that it has the
    // instructions; what is loaded and stored is borrowed by the argument, and where a mask is, no more than that is
    // touched.
    /// Masks for the first 0 to 8 of eight numbers, and for the last ones.
    const FIRST: [i64; 2 * LANES] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    const LAST: [i64; 2 * LANES] = [0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1];

    /// Columns of four rows of four.
    #[inline(always)]
    fn turned([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
        unsafe {
            let (even, odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            let (even_too, odd_too) = (_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
            [
                _mm256_permute2f128_pd(even, even_too, 0x20),
                _mm256_permute2f128_pd(odd, odd_too, 0x20),
                _mm256_permute2f128_pd(even, even_too, 0x31),
                _mm256_permute2f128_pd(odd, odd_too, 0x31),
            ]
        }
    }

    impl Avx2 {
        /// Only the last `count`.
        #[inline(always)]
        fn last(self, count: usize) -> Self {
            let last = &LAST[count.min(LANES)..][..LANES];
            unsafe {
                let (low, high) = (_mm256_loadu_pd(last.as_ptr().cast()), _mm256_loadu_pd(last.as_ptr().add(4).cast()));
                Avx2(_mm256_and_pd(self.0, low), _mm256_and_pd(self.1, high))
            }
        }
    }

    impl Register for __m256d {
        #[inline(always)]
        fn load(x: &[f64; LANES], part: usize) -> Self {
            unsafe { _mm256_loadu_pd(x.as_chunks::<4>().0[part].as_ptr()) }
        }

        #[inline(always)]
        fn store(self, x: &mut [f64; LANES], part: usize) {
            unsafe { _mm256_storeu_pd(x.as_chunks_mut::<4>().0[part].as_mut_ptr(), self) }
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            unsafe { _mm256_mul_pd(self, other) }
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm256_fmadd_pd(a, b, self) }
        }
    }

    impl Register for Avx512 {
        #[inline(always)]
        fn load(x: &[f64; LANES], _: usize) -> Self {
            Lanes::load(x)
        }

        #[inline(always)]
        fn store(self, x: &mut [f64; LANES], _: usize) {
            Lanes::store(self, x)
        }

        #[inline(always)]
        fn times(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_mul_pd(self.0, other.0)) }
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            Lanes::add_product(self, a, b)
        }
    }

    impl Lanes for Avx2 {
        type Register = __m256d;

        #[inline(always)]
        fn splat(value: f64) -> Self {
            unsafe { Avx2(_mm256_set1_pd(value), _mm256_set1_pd(value)) }
        }

        #[inline(always)]
        fn load(x: &[f64; LANES]) -> Self {
            unsafe { Avx2(_mm256_loadu_pd(x.as_ptr()), _mm256_loadu_pd(x.as_ptr().add(4))) }
        }

        #[inline(always)]
        fn load_part(x: &[f64]) -> Self {
            let first = &FIRST[LANES - x.len().min(LANES)..][..LANES];
            unsafe {
                let low = _mm256_loadu_si256(first.as_ptr().cast());
                let high = _mm256_loadu_si256(first.as_ptr().add(4).cast());
                let from = x.as_ptr().wrapping_add(4);
                Avx2(_mm256_maskload_pd(x.as_ptr(), low), _mm256_maskload_pd(from, high))
            }
        }

        #[inline(always)]
        fn load_last(x: &[f64; LANES], count: usize) -> Self {
            Self::load(x).last(count)
        }

        #[inline(always)]
        fn load_half_last(x: &[f32; LANES], count: usize) -> Self {
            Self::load_half(x).last(count)
        }

        #[inline(always)]
        fn load_half(x: &[f32; LANES]) -> Self {
            unsafe {
                let x = _mm256_loadu_ps(x.as_ptr());
                Avx2(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)))
            }
        }

        #[inline(always)]
        fn load_half_part(x: &[f32]) -> Self {
            let mut first = [0.0; LANES];
            first.iter_mut().zip(x).for_each(|(first, x)| *first = *x);
            Self::load_half(&first)
        }

        #[inline(always)]
        fn store(self, x: &mut [f64; LANES]) {
            unsafe {
                _mm256_storeu_pd(x.as_mut_ptr(), self.0);
                _mm256_storeu_pd(x.as_mut_ptr().add(4), self.1);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_add_pd(self.0, other.0), _mm256_add_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_sub_pd(self.0, other.0), _mm256_sub_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn over(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_div_pd(self.0, other.0), _mm256_div_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn and_from(self, at: usize, other: Self) -> Self {
            let from = &LAST[LANES - at.min(LANES)..][..LANES];
            unsafe {
                let (low, high) = (_mm256_loadu_pd(from.as_ptr().cast()), _mm256_loadu_pd(from.as_ptr().add(4).cast()));
                Avx2(_mm256_blendv_pd(self.0, other.0, low), _mm256_blendv_pd(self.1, other.1, high))
            }
        }

        #[inline(always)]
        fn either(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_or_pd(self.0, other.0), _mm256_or_pd(self.1, other.1)) }
        }

        #[inline(always)]
        fn pair(low: &[f64; 4], high: &[f64; 4]) -> Self {
            unsafe { Avx2(_mm256_loadu_pd(low.as_ptr()), _mm256_loadu_pd(high.as_ptr())) }
        }

        #[inline(always)]
        fn pair_half(low: &[f32; 4], high: &[f32; 4]) -> Self {
            unsafe {
                let (low, high) = (_mm_loadu_ps(low.as_ptr()), _mm_loadu_ps(high.as_ptr()));
                Avx2(_mm256_cvtps_pd(low), _mm256_cvtps_pd(high))
            }
        }

        #[inline(always)]
        fn turned([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            let (low, high) = (turned([a.0, b.0, a.1, b.1]), turned([c.0, d.0, c.1, d.1]));
            std::array::from_fn(|j| Avx2(low[j], high[j]))
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { Avx2(_mm256_fmadd_pd(a.0, b.0, self.0), _mm256_fmadd_pd(a.1, b.1, self.1)) }
        }

        #[inline(always)]
        fn total(self) -> f64 {
            unsafe {
                let four = _mm256_add_pd(self.0, self.1);
                let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
                _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two))
            }
        }

        #[inline(always)]
        fn totals(four: [Self; 4]) -> [f64; 4] {
            let (mut out, [a, b, c, d]) = ([0.0; 4], four);
            unsafe {
                let (a, b) = (_mm256_add_pd(a.0, a.1), _mm256_add_pd(b.0, b.1));
                let (c, d) = (_mm256_add_pd(c.0, c.1), _mm256_add_pd(d.0, d.1));
                // [a, a, b, b] and [c, c, d, d], whose neighbours are added to [a, c, b, d]
                let ab = _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
                let cd = _mm256_add_pd(_mm256_permute2f128_pd(c, d, 0x20), _mm256_permute2f128_pd(c, d, 0x31));
                _mm256_storeu_pd(out.as_mut_ptr(), _mm256_permute4x64_pd(_mm256_hadd_pd(ab, cd), 0xd8));
            }
            out
        }

        #[inline(always)]
        fn columns(rows: [Self; LANES]) -> [Self; LANES] {
            let mut columns = rows;
            for half in 0..2 {
                let [a, b, c, d] = [rows[4 * half], rows[4 * half + 1], rows[4 * half + 2], rows[4 * half + 3]];
                let (left, right) = (turned([a.0, b.0, c.0, d.0]), turned([a.1, b.1, c.1, d.1]));
                for j in 0..4 {
                    if half == 0 {
                        (columns[j].0, columns[4 + j].0) = (left[j], right[j]);
                    } else {
                        (columns[j].1, columns[4 + j].1) = (left[j], right[j]);
                    }
                }
            }
            columns
        }

        #[inline(always)]
        fn add_one(sum: f64, a: f64, b: f64) -> f64 {
            a.mul_add(b, sum)
        }

        #[inline(always)]
        fn within(self, reach: Self) -> bool {
            unsafe {
                let sign = _mm256_set1_pd(-0.0);
                let low = _mm256_cmp_pd(_mm256_andnot_pd(sign, self.0), reach.0, _CMP_LT_OQ);
                let high = _mm256_cmp_pd(_mm256_andnot_pd(sign, self.1), reach.1, _CMP_LT_OQ);
                _mm256_movemask_pd(_mm256_and_pd(low, high)) == 0xf
            }
        }
    }

    impl Lanes for Avx512 {
        const MANY: bool = true;
        type Register = Self;

        #[inline(always)]
        fn splat(value: f64) -> Self {
            unsafe { Avx512(_mm512_set1_pd(value)) }
        }

        #[inline(always)]
        fn load(x: &[f64; LANES]) -> Self {
            unsafe { Avx512(_mm512_loadu_pd(x.as_ptr())) }
        }

        #[inline(always)]
        fn load_part(x: &[f64]) -> Self {
            let first = ((1u32 << x.len().min(LANES)) - 1) as u8;
            unsafe { Avx512(_mm512_maskz_loadu_pd(first, x.as_ptr())) }
        }

        #[inline(always)]
        fn load_last(x: &[f64; LANES], count: usize) -> Self {
            unsafe { Avx512(_mm512_maskz_loadu_pd((0xff00u32 >> count.min(LANES)) as u8, x.as_ptr())) }
        }

        #[inline(always)]
        fn load_half_last(x: &[f32; LANES], count: usize) -> Self {
            let last = (0xff00u32 >> count.min(LANES)) as u8;
            unsafe { Avx512(_mm512_maskz_cvtps_pd(last, _mm256_loadu_ps(x.as_ptr()))) }
        }

        #[inline(always)]
        fn load_half(x: &[f32; LANES]) -> Self {
            unsafe { Avx512(_mm512_cvtps_pd(_mm256_loadu_ps(x.as_ptr()))) }
        }

        #[inline(always)]
        fn load_half_part(x: &[f32]) -> Self {
            let first = ((1u32 << x.len().min(LANES)) - 1) as u16;
            unsafe { Avx512(_mm512_cvtps_pd(_mm512_castps512_ps256(_mm512_maskz_loadu_ps(first, x.as_ptr())))) }
        }

        #[inline(always)]
        fn store(self, x: &mut [f64; LANES]) {
            unsafe { _mm512_storeu_pd(x.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn store_part(self, x: &mut [f64]) {
            let first = ((1u32 << x.len().min(LANES)) - 1) as u8;
            unsafe { _mm512_mask_storeu_pd(x.as_mut_ptr(), first, self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_add_pd(self.0, other.0)) }
        }

        #[inline(always)]
        fn minus(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_sub_pd(self.0, other.0)) }
        }

        #[inline(always)]
        fn over(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_div_pd(self.0, other.0)) }
        }

        #[inline(always)]
        fn and_from(self, at: usize, other: Self) -> Self {
            unsafe { Avx512(_mm512_mask_mov_pd(self.0, (0xffu32 << at.min(LANES)) as u8, other.0)) }
        }

        #[inline(always)]
        fn either(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_or_pd(self.0, other.0)) }
        }

        #[inline(always)]
        fn pair(low: &[f64; 4], high: &[f64; 4]) -> Self {
            unsafe {
                let (low, high) = (_mm256_loadu_pd(low.as_ptr()), _mm256_loadu_pd(high.as_ptr()));
                Avx512(_mm512_insertf64x4(_mm512_castpd256_pd512(low), high, 1))
            }
        }

        #[inline(always)]
        fn pair_half(low: &[f32; 4], high: &[f32; 4]) -> Self {
            unsafe {
                let (low, high) = (_mm_loadu_ps(low.as_ptr()), _mm_loadu_ps(high.as_ptr()));
                Avx512(_mm512_cvtps_pd(_mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1)))
            }
        }

        #[inline(always)]
        fn turned([a, b, c, d]: [Self; 4]) -> [Self; 4] {
            unsafe {
                // columns 0 and 2 of two rows and of two more, and columns 1 and 3
                let (even, odd) = (_mm512_unpacklo_pd(a.0, b.0), _mm512_unpackhi_pd(a.0, b.0));
                let (even_too, odd_too) = (_mm512_unpacklo_pd(c.0, d.0), _mm512_unpackhi_pd(c.0, d.0));
                [
                    Avx512(_mm512_shuffle_f64x2(even, even_too, 0x88)),
                    Avx512(_mm512_shuffle_f64x2(odd, odd_too, 0x88)),
                    Avx512(_mm512_shuffle_f64x2(even, even_too, 0xdd)),
                    Avx512(_mm512_shuffle_f64x2(odd, odd_too, 0xdd)),
                ]
            }
        }

        #[inline(always)]
        fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { Avx512(_mm512_fmadd_pd(a.0, b.0, self.0)) }
        }

        #[inline(always)]
        fn totals(four: [Self; 4]) -> [f64; 4] {
            let (mut out, [a, b, c, d]) = ([0.0; 4], four);
            unsafe {
                // the upper halves onto the lower ones, of two sums in a register, and of all four once more
                let ab = _mm512_add_pd(_mm512_shuffle_f64x2(a.0, b.0, 0x44), _mm512_shuffle_f64x2(a.0, b.0, 0xee));
                let cd = _mm512_add_pd(_mm512_shuffle_f64x2(c.0, d.0, 0x44), _mm512_shuffle_f64x2(c.0, d.0, 0xee));
                let all = _mm512_add_pd(_mm512_shuffle_f64x2(ab, cd, 0x88), _mm512_shuffle_f64x2(ab, cd, 0xdd));
                let all = _mm512_add_pd(all, _mm512_permute_pd(all, 0x55));
                let even = _mm512_maskz_compress_pd(0x55, all); // storing so takes much longer
                _mm256_storeu_pd(out.as_mut_ptr(), _mm512_castpd512_pd256(even));
            }
            out
        }

        #[inline(always)]
        fn total(self) -> f64 {
            unsafe { Avx2(_mm512_castpd512_pd256(self.0), _mm512_extractf64x4_pd(self.0, 1)).total() }
        }

        /// In the order of `total`: halves, quarters, neighbours.
        #[inline(always)]
        fn sums([a, e, b, f, c, g, d, h]: [Self; LANES]) -> Self {
            let halves = |a: Self, b: Self| unsafe {
                let (low, high) = (_mm512_shuffle_f64x2(a.0, b.0, 0x44), _mm512_shuffle_f64x2(a.0, b.0, 0xee));
                _mm512_add_pd(low, high)
            };
            let quarters =
                |a, b| unsafe { _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd)) };
            let (even, odd) = (quarters(halves(a, b), halves(c, d)), quarters(halves(e, f), halves(g, h)));
            unsafe { Avx512(_mm512_add_pd(_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd))) }
        }

        #[inline(always)]
        fn columns(rows: [Self; LANES]) -> [Self; LANES] {
            let (mut pairs, mut fours) = (rows, rows);
            unsafe {
                for r in (0..LANES).step_by(2) {
                    // columns 0, 2, 4, 6 of two rows, and columns 1, 3, 5, 7
                    pairs[r].0 = _mm512_unpacklo_pd(rows[r].0, rows[r + 1].0);
                    pairs[r + 1].0 = _mm512_unpackhi_pd(rows[r].0, rows[r + 1].0);
                }
                for at in [0, 1, 4, 5] {
                    // of four rows: of the columns above every second, and the others
                    fours[at].0 = _mm512_shuffle_f64x2(pairs[at].0, pairs[at + 2].0, 0x88);
                    fours[at + 2].0 = _mm512_shuffle_f64x2(pairs[at].0, pairs[at + 2].0, 0xdd);
                }
                let mut columns = fours;
                for j in 0..4 {
                    columns[j].0 = _mm512_shuffle_f64x2(fours[j].0, fours[j + 4].0, 0x88);
                    columns[j + 4].0 = _mm512_shuffle_f64x2(fours[j].0, fours[j + 4].0, 0xdd);
                }
                columns
            }
        }

        #[inline(always)]
        fn add_one(sum: f64, a: f64, b: f64) -> f64 {
            a.mul_add(b, sum)
        }

        #[inline(always)]
        fn within(self, reach: Self) -> bool {
            unsafe { _mm512_cmp_pd_mask(_mm512_abs_pd(self.0), reach.0, _CMP_LT_OQ) == 0xff }
        }
    }
}
