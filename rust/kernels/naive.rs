//! Naive: what each kernel does, one row at a time and summed in order.

use super::{Bond, Columns, Downhill, Eight, Element, Lines, Moves, Online, Slopes, Step, Summed, Sums, TURN, Turn};

/// The rows one by one.
fn each<T>(lines: Lines<'_, T>, d: usize) -> impl Iterator<Item = &[T]> {
    let (values, stride, at, count) = match lines {
        Lines::Together { values, stride, .. } => (values, stride, None, values.len() / stride),
        Lines::Apart { values, stride, at, .. } => (values, stride, Some(at), at.len()),
    };
    (0..count).map(move |i| &values[at.map_or(i, |at| at[i] as usize) * stride..][..d])
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

pub fn gradient<T: Element>(lines: Lines<T>, w: &[f64], b: f64, grad: &mut [f64], slopes: Slopes) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    for (i, x) in each(lines, w.len()).enumerate() {
        let product: f64 = x.iter().zip(w).map(|(&x, w)| x.into() * w).sum();
        let mut slope = [product + b];
        let loss = slopes(i, &mut slope);
        sums = (sums.0 + loss, sums.1 + slope[0]);
        for (grad, &x) in grad.iter_mut().zip(x) {
            *grad += slope[0] * x.into();
        }
    }
    sums
}

pub fn singles<T: Element>(
    lines: Lines<T>,
    (w, b): (f64, f64),
    (y, s): (&[f64], &[f64]),
    f: impl Fn(f64, f64) -> f64,
    g: impl Fn(f64, f64) -> f64,
) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for (i, x) in each(lines, 1).enumerate() {
        let (x, s) = (x[0].into(), s.get(i).copied().unwrap_or(1.0));
        let (value, slope) = (s * f(x * w + b, y[i]), s * g(x * w + b, y[i]));
        sums = [sums[0] + slope * x, sums[1] + slope, sums[2] + value];
    }
    sums
}

pub fn centre<T: Element>(lines: Lines<T>, away: &[f64], s: &[Eight], columns: Summed) {
    let Summed { out, stride, sums } = columns;
    for (i, x) in each(lines, away.len()).enumerate() {
        let s = s.get(i / 8).map_or(1.0, |s| s.0[i % 8]);
        for j in 0..away.len() {
            let (Eight(column), sums, z) = (&mut out[i / 8 * stride + j], &mut sums[j], x[j].into() - away[j]);
            column[i % 8..].fill(0.0);
            column[i % 8] = z;
            *sums = Sums { sum: sums.sum + s * z, square: sums.square + s * z * z, any: sums.any || z != 0.0 };
        }
    }
}

pub fn by_eights<T: Element>(lines: Lines<T>, d: usize, size: usize, out: &mut [Eight]) {
    for (i, x) in each(lines, d).enumerate() {
        for (j, &x) in x.iter().enumerate() {
            let Eight(column) = &mut out[(i / size * size.div_ceil(8) + i % size / 8) * d + j];
            column[i % size % 8..].fill(0.0);
            column[i % size % 8] = x.into();
        }
    }
}

pub fn downhill(
    rows: Columns,
    line: Downhill,
    (y, s): (&[f64], &[f64]),
    f: impl Fn(f64, f64) -> f64,
    g: impl Fn(f64, f64) -> f64,
    sum: &mut f64,
) {
    let Downhill { w, b, rates, factor, grad, tail } = line;
    let (Columns { eights, size, count }, d) = (rows, w.len());
    for (k, first) in (0..count).step_by(size).enumerate() {
        let (mut loss, mut slopes) = (0.0, 0.0);
        grad.fill(0.0);
        for (i, &y) in y.iter().enumerate().take(count.min(first + size)).skip(first) {
            let at = k * size.div_ceil(8) * d + (i - first) / 8 * d;
            let x = |j: usize| eights[at + j].0[(i - first) % 8];
            let raw = (0..d).map(|j| x(j) * w[j]).sum::<f64>() + b.iter().sum::<f64>();
            let s = s.get(i).copied().unwrap_or(1.0);
            let slope = s * g(raw, y);
            loss += s * f(raw, y);
            slopes += slope;
            grad.iter_mut().take(d).enumerate().for_each(|(j, grad)| *grad += slope * x(j));
        }
        *sum += loss;
        grad[d..].fill(slopes);
        let Some(rate) = rates.get(k) else { continue };
        w.iter_mut().zip(&*grad).for_each(|(w, grad)| *w -= rate * (factor * grad));
        b.iter_mut().for_each(|b| *b -= rate * (factor * slopes));
        tail.iter_mut().zip(w.iter().chain(&*b)).for_each(|(tail, theta)| *tail += theta);
    }
}

pub fn online<T: Element>(lines: Lines<T>, line: Online, step: Step) {
    let Online { w, b, squares, scales, tail } = line;
    for (i, x) in each(lines, w.len()).enumerate() {
        let (scale, after) = (scales.get(i).unwrap_or(&1.0), scales.get(i + 1).unwrap_or(&1.0));
        let raw = x.iter().zip(&*w).map(|(&x, w)| x.into() * w).sum::<f64>() * scale + b.iter().sum::<f64>();
        let square: f64 = x.iter().map(|&x| x.into() * x.into()).sum();
        let step = step(i, raw, if squares { square + b.len() as f64 } else { 0.0 });
        for (w, &x) in w.iter_mut().zip(x) {
            *w -= step / after * x.into();
        }
        for b in b.iter_mut() {
            *b -= step;
        }
        for (tail, theta) in tail.iter_mut().zip(w.iter().chain(&*b)) {
            *tail += theta;
        }
    }
}

pub fn gather<T: Element>(lines: Lines<T>, d: usize, stride: usize, out: &mut [f64]) {
    for (x, out) in each(lines, d).zip(out.chunks_mut(stride)) {
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = x.into());
    }
}

pub fn bind(rows: &[f64], d: usize, bonds: &mut [Bond]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    for (rows, bond) in rows.chunks_exact(TURN * d).zip(bonds) {
        let x = |r: usize| &rows[r * d..][..d];
        *bond = Bond { sound: true, ..Bond::default() };
        for r in 0..TURN {
            (0..r).for_each(|q| bond.shared[q][r] = dot(x(q), x(r)));
            bond.square[r] = dot(x(r), x(r));
        }
        bond.sound = bond.shared.as_flattened().iter().all(|shared| shared.is_finite());
    }
}

pub fn steps(turn: &mut Turn, f: impl Fn(f64, usize) -> f64) {
    for r in 0..turn.count {
        let before: f64 = (0..r).map(|q| turn.steps[q] * turn.shared[q][r]).sum();
        turn.raw[r] -= before;
        turn.steps[r] = f(turn.raw[r], r);
    }
}

pub fn pointwise(
    a: &mut [f64],
    b: &[f64],
    s: &[f64],
    width: usize,
    f: impl Fn(f64, f64) -> f64,
    g: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut sum = 0.0;
    for (i, (a, b)) in a.iter_mut().zip(b).enumerate() {
        let s = s.get(i / width).copied().unwrap_or(1.0);
        sum += s * f(*a, *b);
        *a = s * g(*a, *b);
    }
    sum
}

pub fn softmax(raw: &mut [f64], y: &[f64], s: &[f64], outputs: usize) -> f64 {
    let mut sum = 0.0;
    for (i, (raw, y)) in raw.chunks_exact_mut(outputs).zip(y).enumerate() {
        let (top, at) = (raw.iter().copied().fold(f64::NEG_INFINITY, f64::max), *y as usize);
        let short = top - raw[at];
        raw.iter_mut().for_each(|raw| *raw = (*raw - top).exp());
        let of_y = std::mem::take(&mut raw[at]);
        let others: f64 = raw.iter().sum();
        let s = s.get(i).copied().unwrap_or(1.0);
        raw.iter_mut().for_each(|e| *e *= s / (others + of_y));
        raw[at] = -others * (s / (others + of_y));
        sum += s * (short + (others + (of_y - 1.0)).ln_1p());
    }
    sum
}

pub fn softmax_in_turn(raw: &mut [f64], y: &[f64], s: &[f64], outputs: usize, moves: &Moves) -> f64 {
    let mut sum = 0.0;
    for r in 0..y.len() {
        let (steps, later) = raw[r * outputs..].split_at_mut(outputs);
        sum += softmax(steps, &y[r..=r], s.get(r..=r).unwrap_or(&[]), outputs);
        steps.iter_mut().for_each(|step| *step *= moves.scales[r]);
        for (raw, shared) in later.chunks_exact_mut(outputs).zip(&moves.shared[r][r + 1..]) {
            raw.iter_mut().zip(&*steps).for_each(|(raw, step)| *raw += shared * step);
        }
    }
    sum
}

pub fn products(columns: &[Eight], p: usize, s: &[Eight], products: &mut [f64]) {
    for (i, x) in columns.chunks_exact(p).enumerate() {
        let s = s.get(i).unwrap_or(&Eight([1.0; 8]));
        for j in 0..p {
            for k in j + 1..p {
                products[j * p + k] += (0..8).map(|r| s.0[r] * x[j].0[r] * x[k].0[r]).sum::<f64>();
            }
        }
    }
}

pub fn finite<T: Element>(values: &[T]) -> bool {
    values.iter().all(|&value| value.into().is_finite())
}
