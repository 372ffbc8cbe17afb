//! Columns: descent by batches of rows that lie in columns of eight, for one output. A lane is a row: predictions need
//! no sum across lanes, and slopes meet the rows where they are.

use super::lanes::{LANES, Lanes};
use super::passes::{eight, weights};
use super::walk::{Walk, left, load};
use super::{Columns, Downhill, Eight, Element, Lines, Work};

/// Features at most: to turn longer rows takes longer than is saved.
pub(super) const MOST: usize = ROOM - 1;
/// Parameters there is room for, the intercept behind the coefficients, and lanes of them.
const ROOM: usize = 16;
const OF_LANES: usize = ROOM / LANES;
/// Eights that go through registers together.
const TOGETHER: usize = 4;

pub(super) struct ByEights<'a, T> {
    pub lines: Lines<'a, T>,
    pub d: usize,
    pub size: usize,
    pub out: &'a mut [Eight],
}

impl<T: Element> Work for ByEights<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let ByEights { lines, d, size, out } = self;
        let (walk, of_batch) = (Walk::new(lines, d), size.div_ceil(LANES));
        for (k, out) in out.chunks_mut(of_batch * d).enumerate() {
            let until = walk.count.min((k + 1) * size);
            for (i, out) in (k * size..until).step_by(LANES).zip(out.chunks_exact_mut(d)) {
                let count = LANES.min(until - i);
                match d {
                    1 => few::<T, 1>(&walk, i, count, out),
                    2 => few::<T, 2>(&walk, i, count, out),
                    3 => few::<T, 3>(&walk, i, count, out),
                    4 => few::<T, 4>(&walk, i, count, out),
                    5 => few::<T, 5>(&walk, i, count, out),
                    6 => few::<T, 6>(&walk, i, count, out),
                    7 => few::<T, 7>(&walk, i, count, out),
                    _ => many::<V, T>(&walk, i, count, out),
                }
            }
        }
    }
}

/// Rows of D numbers from i on, of which `count` are there, number by number: a lane would reach into lines that nobody
/// asked for.
#[inline(always)]
fn few<T: Element, const D: usize>(walk: &Walk<T>, i: usize, count: usize, out: &mut [Eight]) {
    walk.ask::<LANES>(i);
    let out = &mut out[..D];
    for r in 0..count {
        let x = &walk.row(i + r)[..D];
        for j in 0..D {
            out[j].0[r] = x[j].into();
        }
    }
    if count < LANES {
        out.iter_mut().for_each(|out| out.0[count..].fill(0.0));
    }
}

/// The same of rows as long as a lane or longer, eight columns at a time.
#[inline(always)]
fn many<V: Lanes, T: Element>(walk: &Walk<T>, i: usize, count: usize, out: &mut [Eight]) {
    walk.ask::<LANES>(i);
    let (mut x, mut lanes) = ([walk.row(i); LANES], [V::zero(); LANES]);
    for (r, x) in x.iter_mut().enumerate().take(count) {
        *x = walk.row(i + r);
    }
    let (whole, rest) = out.as_chunks_mut::<LANES>();
    for (c, out) in whole.iter_mut().enumerate() {
        for r in 0..count {
            lanes[r] = load(&x[r].as_chunks().0[c]);
        }
        let columns = V::columns(lanes);
        for j in 0..LANES {
            columns[j].store(&mut out[j].0);
        }
    }
    if !rest.is_empty() {
        for r in 0..count {
            lanes[r] = left(x[r], whole.len());
        }
        let from = LANES - rest.len(); // at the end of a lane, as rows are as long as that
        for (out, column) in rest.iter_mut().zip(&V::columns(lanes)[from..]) {
            column.store(&mut out.0);
        }
    }
}

pub(super) struct Descent<'a, F, G> {
    pub rows: Columns<'a>,
    pub line: Downhill<'a>,
    pub y: &'a [f64],
    pub s: &'a [f64],
    pub f: F,
    pub g: G,
    pub sum: &'a mut f64,
}

/// Parameters in lanes, the intercept behind the coefficients and zeros behind it.
#[repr(C, align(64))]
struct Near([[f64; LANES]; OF_LANES]);

impl Near {
    #[inline(always)]
    fn of(values: &[f64], last: &[f64]) -> Self {
        let mut lanes = Near([[0.0; LANES]; OF_LANES]);
        for (lane, value) in lanes.0.as_flattened_mut().iter_mut().zip(values.iter().chain(last)) {
            *lane = *value;
        }
        lanes
    }

    #[inline(always)]
    fn put(&self, values: &mut [f64], last: &mut [f64]) {
        for (value, lane) in values.iter_mut().chain(last).zip(self.0.as_flattened()) {
            *value = *lane;
        }
    }
}

impl<F: Fn(f64, f64) -> f64, G: Fn(f64, f64) -> f64> Work for Descent<'_, F, G> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Descent { rows, line, y, s, f, g, sum } = self;
        let Downhill { w, b, rates, factor, grad, tail } = line;
        let (d, of_batch, lanes) = (w.len(), rows.size.div_ceil(LANES), w.len() / LANES + 1);
        let (mut theta, mut slope) = (Near::of(w, b), Near::of(&[], &[]));
        let (tail, tail_b) = tail.split_at_mut(tail.len().min(d));
        let mut sums = Near::of(tail, tail_b);
        let mut room = [Eight::default(); ROOM];
        let factor = V::splat(factor);
        for (k, eights) in rows.eights.chunks(of_batch * d).enumerate() {
            let first = k * rows.size;
            let told = Told { y: &y[first..rows.count.min(first + rows.size)], s: s.get(first..).unwrap_or(&[]) };
            let (mut at, mut losses) = (0, V::zero());
            for eights in eights.chunks(TOGETHER * d) {
                let (many, theta, room) = (eights.len() / d, &theta, &mut room);
                losses = losses.add(match many {
                    TOGETHER => several::<V, F, G, TOGETHER>(eights, d, theta, told, at, room, (&f, &g)),
                    3 => several::<V, F, G, 3>(eights, d, theta, told, at, room, (&f, &g)),
                    2 => several::<V, F, G, 2>(eights, d, theta, told, at, room, (&f, &g)),
                    _ => several::<V, F, G, 1>(eights, d, theta, told, at, room, (&f, &g)),
                });
                at += many;
            }
            if b.is_empty() {
                room[d] = Eight::default();
            }
            *sum += losses.total();
            for c in 0..lanes {
                let mut eight = [V::zero(); LANES];
                for l in 0..LANES {
                    eight[l] = V::load(&room[c * LANES + l].0);
                }
                V::sums(eight).store(&mut slope.0[c]);
            }
            let Some(rate) = rates.get(k) else { continue };
            let rate = V::splat(*rate);
            for c in 0..lanes {
                let step = V::zero().add_product(rate, V::zero().add_product(factor, V::load(&slope.0[c])));
                let after = V::load(&theta.0[c]).minus(step);
                after.store(&mut theta.0[c]);
                V::load(&sums.0[c]).add(after).store(&mut sums.0[c]);
            }
        }
        theta.put(w, b);
        sums.put(tail, tail_b);
        slope.put(grad, &mut []);
    }
}

/// Targets and weights of a batch.
#[derive(Clone, Copy)]
struct Told<'a> {
    y: &'a [f64],
    s: &'a [f64],
}

/// M eights of a batch from one on: their losses; their slopes times each column go into `room`, and the slopes
/// behind these.
#[inline(always)]
fn several<V: Lanes, F: Fn(f64, f64) -> f64, G: Fn(f64, f64) -> f64, const M: usize>(
    eights: &[Eight],
    d: usize,
    theta: &Near,
    told: Told,
    at: usize,
    room: &mut [Eight; ROOM],
    (f, g): (&F, &G),
) -> V {
    let mut columns: [&[Eight]; M] = [&[]; M];
    for (m, columns) in columns.iter_mut().enumerate() {
        *columns = &eights[m * d..][..d];
    }
    let (w, mut raw) = (theta.0.as_flattened(), [V::splat(theta.0.as_flattened()[d]); M]);
    for (j, w) in w[..d].iter().enumerate() {
        let w = V::splat(*w);
        for m in 0..M {
            raw[m] = raw[m].add_product(V::load(&columns[m][j].0), w);
        }
    }
    let (mut slopes, mut losses, mut sum) = ([V::zero(); M], V::zero(), V::zero());
    for m in 0..M {
        let first = (at + m) * LANES;
        let (mut x, mut y) = ([0.0; LANES], [0.0; LANES]);
        raw[m].store(&mut x);
        let s = if told.s.is_empty() { [1.0; LANES] } else { weights(told.s, 1, first) };
        let y_m = &told.y[first..];
        match y_m.first_chunk() {
            Some(all) => y = *all,
            None => V::load_part(y_m).store(&mut y),
        }
        let (values, of_rows) = eight(x, y, s, f, g);
        let (count, none) = (y_m.len().min(LANES), V::zero());
        losses = losses.add(V::load(&values).and_from(count, none));
        slopes[m] = V::load(&of_rows).and_from(count, none);
        sum = sum.add(slopes[m]);
    }
    for j in 0..d {
        let mut sums = [V::zero(); 2];
        if at > 0 {
            sums[0] = V::load(&room[j].0);
        }
        for m in 0..M {
            sums[m % 2] = sums[m % 2].add_product(V::load(&columns[m][j].0), slopes[m]);
        }
        sums[0].add(sums[1]).store(&mut room[j].0);
    }
    if at > 0 {
        sum = V::load(&room[d].0).add(sum);
    }
    sum.store(&mut room[d].0);
    losses
}
