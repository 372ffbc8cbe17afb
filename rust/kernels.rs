//! Kernels: the two passes over a row that everything else is made of. Rows may be f32, sums are f64.

/// A stored number.
pub trait Element: Copy + Send + Sync + Into<f64> {}
impl Element for f32 {}
impl Element for f64 {}

/// Independent partial sums: enough to hide the latency of an addition, in a fixed order.
const LANES: usize = 8;

/// sum_j x_j w_j
#[inline]
pub fn dot<T: Element>(x: &[T], w: &[f64]) -> f64 {
    if x.len() < LANES {
        return x.iter().zip(w).map(|(x, w)| (*x).into() * w).sum();
    }
    let mut lanes = [0.0; LANES];
    let (x_lanes, w_lanes) = (x.chunks_exact(LANES), w.chunks_exact(LANES));
    let mut sum = 0.0;
    for (x, w) in x_lanes.remainder().iter().zip(w_lanes.remainder()) {
        sum += (*x).into() * w;
    }
    for (x, w) in x_lanes.zip(w_lanes) {
        for l in 0..LANES {
            lanes[l] += x[l].into() * w[l];
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    sum + (((a + e) + (c + g)) + ((b + f) + (d + h)))
}

/// y_j += a x_j
#[inline]
pub fn axpy<T: Element>(a: f64, x: &[T], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * (*x).into();
    }
}

/// Euclidean length, where the squares overflow or vanish too; NaN if a value is.
pub fn norm(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let sum: f64 = values.clone().map(|value| value * value).sum();
    if sum.is_nan() || (1e-200..1e200).contains(&sum) {
        return sum.sqrt();
    }
    let largest = values.clone().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * values.map(|value| (value / largest).powi(2)).sum::<f64>().sqrt()
}

/// Asks for the memory of `x` before it is needed; of a long one for its first 16 KiB, after which the processor has
/// seen which way it goes.
#[inline]
#[allow(unsafe_code, reason = "there is no safe prefetch")]
pub fn prefetch<T>(x: &[T]) {
    let x = &x[..x.len().min((16 << 10) / size_of::<T>().max(1))];
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of_val(x)).step_by(64).chain([size_of_val(x).saturating_sub(1)]) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint: it reads nothing into the program and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.as_ptr().cast::<i8>().wrapping_add(offset)) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norm_bears_every_size() {
        for size in [1.0, 1e-170, 1e-310, 1e170, 1e300] {
            let found = norm([3.0 * size, -4.0 * size].into_iter()) / size;
            assert!((found - 5.0).abs() <= 1e-9, "{size}: {found}");
        }
        assert_eq!(norm([0.0, 0.0].into_iter()), 0.0);
        assert_eq!(norm([1.0, f64::INFINITY].into_iter()), f64::INFINITY);
        assert!(norm([1.0, f64::NAN, f64::INFINITY].into_iter()).is_nan());
    }

    #[test]
    fn every_length_agrees_with_the_plain_sum() {
        for d in 0..40 {
            let x: Vec<f64> = (0..d).map(|j| (j as f64 * 0.7).sin()).collect();
            let w: Vec<f64> = (0..d).map(|j| (j as f64 * 1.3).cos()).collect();
            let plain: f64 = x.iter().zip(&w).map(|(x, w)| x * w).sum();
            assert!((dot(&x, &w) - plain).abs() <= 1e-14, "d = {d}");

            let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let widened: Vec<f64> = narrow.iter().map(|&x| x.into()).collect();
            assert_eq!(dot(&narrow, &w), dot(&widened, &w), "f32 rows are only stored narrow");

            let mut y = w.clone();
            axpy(0.5, &x, &mut y);
            for j in 0..d {
                assert_eq!(y[j], w[j] + 0.5 * x[j]);
            }
        }
    }
}
