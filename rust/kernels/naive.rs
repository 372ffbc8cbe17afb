//! Naive: what each kernel does, one row at a time and summed in order.

use super::{Element, Lines, Online};

/// The rows one by one.
fn each(lines: Lines<'_>, d: usize) -> impl Iterator<Item = &[f64]> {
    let (values, stride, at, count) = match lines {
        Lines::Together { values, stride, .. } => (values, stride, None, values.len() / stride),
        Lines::Apart { values, stride, at, .. } => (values, stride, Some(at), at.len()),
    };
    (0..count).map(move |i| &values[at.map_or(i, |at| at[i]) * stride..][..d])
}

pub fn forward(lines: Lines, d: usize, w: &[f64], b: &[f64], raw: &mut [f64]) {
    for (x, raw) in each(lines, d).zip(raw.chunks_exact_mut(w.len() / d)) {
        for (k, raw) in raw.iter_mut().enumerate() {
            let product: f64 = x.iter().zip(&w[k * d..]).map(|(x, w)| x * w).sum();
            *raw = product + b.get(k).copied().unwrap_or(0.0);
        }
    }
}

pub fn backward(lines: Lines, d: usize, slope: &[f64], grad: &mut [f64]) {
    for (x, slope) in each(lines, d).zip(slope.chunks_exact(grad.len() / d)) {
        for (grad, slope) in grad.chunks_exact_mut(d).zip(slope) {
            for (grad, x) in grad.iter_mut().zip(x) {
                *grad += slope * x;
            }
        }
    }
}

pub fn gradient(lines: Lines, w: &[f64], b: f64, grad: &mut [f64], f: impl Fn(f64, usize) -> (f64, f64)) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (i, x) in each(lines, w.len()).enumerate() {
        let product: f64 = x.iter().zip(w).map(|(x, w)| x * w).sum();
        let (loss, slope) = f(product + b, i);
        sums = (sums.0 + loss, sums.1 + slope);
        for (grad, x) in grad.iter_mut().zip(x) {
            *grad += slope * x;
        }
    }
    sums
}

#[allow(clippy::too_many_arguments, reason = "as the kernel")]
pub fn centre(
    lines: Lines,
    d: usize,
    away: &[f64],
    s: &[f64],
    out: &mut [f64],
    stride: usize,
    sums: &mut [f64],
    range: &mut [f64],
) {
    for (i, x) in each(lines, d).enumerate() {
        for j in 0..d {
            let z = x[j] - away[j];
            out[i * stride + j] = z;
            sums[j] += s.get(i).copied().unwrap_or(1.0) * z;
            range[j] = if z.abs() > range[j] { z.abs() } else { range[j] };
        }
        out[i * stride + d..i * stride + d.next_multiple_of(8)].fill(0.0);
    }
}

pub fn online(lines: Lines, steps: Online, sum: &mut f64, f: impl Fn(f64, usize) -> (f64, f64)) {
    let Online { w, b, rates, implicit, tail } = steps;
    for (i, (x, rate)) in each(lines, w.len()).zip(rates).enumerate() {
        let raw: f64 = x.iter().zip(&*w).map(|(x, w)| x * w).sum();
        let (loss, slope) = f(raw + b.iter().sum::<f64>(), i);
        let square: f64 = x.iter().map(|x| x * x).sum::<f64>() + b.len() as f64;
        let step = rate / (1.0 + rate * implicit * square) * slope;
        for (w, x) in w.iter_mut().zip(x) {
            *w -= step * x;
        }
        for b in b.iter_mut() {
            *b -= step;
        }
        for (tail, theta) in tail.iter_mut().zip(w.iter().chain(&*b)) {
            *tail += theta;
        }
        *sum += loss;
    }
}

pub fn pointwise(a: &mut [f64], b: &[f64], f: impl Fn(f64, f64, usize) -> (f64, f64)) -> f64 {
    let mut sum = 0.0;
    for (i, (a, b)) in a.iter_mut().zip(b).enumerate() {
        let (value, replaced) = f(*a, *b, i);
        sum += value;
        *a = replaced;
    }
    sum
}

pub fn products(rows: &[f64], d: usize, s: &[f64], products: &mut [f64]) {
    for (i, x) in rows.chunks_exact(d).enumerate() {
        for j in 0..d {
            for k in j..d {
                products[j * d + k] += s.get(i).copied().unwrap_or(1.0) * x[j] * x[k];
            }
        }
    }
}

pub fn finite<T: Element>(values: &[T]) -> bool {
    values.iter().all(|&value| value.into().is_finite())
}
