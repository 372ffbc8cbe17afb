//! Walk: rows one by one, however they lie, and lanes of them; sums over long rows.

use super::lanes::{LANES, Lanes};
use super::{Element, LINE, Lines, ask, prefetch};

/// Numbers ahead that are asked for where rows lie one after the other, and from how long a row the processor sees by
/// itself which way it goes.
const FAR: usize = 4096;
const LONG: usize = 256;

/// Row i of rows that lie anyhow.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a, T = f64> {
    pub(super) values: &'a [T],
    pub(super) stride: usize,
    pub(super) at: Option<&'a [u32]>,
    soon: &'a [u32],
    /// Numbers up to which there is something to ask for.
    until: usize,
    pub(super) count: usize,
    d: usize,
}

impl<'a, T> Walk<'a, T> {
    #[inline(always)]
    pub(super) fn new(lines: Lines<'a, T>, d: usize) -> Self {
        match lines {
            Lines::Together { values, stride, beyond } => {
                let until = if beyond == 0 { 0 } else { values.len() + beyond };
                Walk { values, stride, at: None, soon: &[], until, count: values.len() / stride, d }
            }
            Lines::Apart { values, stride, at, soon } => {
                Walk { values, stride, at: Some(at), soon, until: 0, count: at.len(), d }
            }
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> &'a [T] {
        let i = match self.at {
            Some(at) => at[i] as usize,
            None => i,
        };
        &self.values[i * self.stride..][..self.d]
    }

    /// Where a row some way after row i begins, if there is anything to ask for.
    #[inline(always)]
    pub(super) fn soon(&self, i: usize) -> Option<*const T> {
        match self.soon.get(i) {
            Some(&soon) => Some(self.values[soon as usize * self.stride..][..self.d].as_ptr()),
            None if self.stride < LONG => self.later(i),
            None => None,
        }
    }

    /// The same where rows lie one after the other.
    #[inline(always)]
    fn later(&self, i: usize) -> Option<*const T> {
        let at = i * self.stride + FAR;
        (at < self.until).then(|| self.values.as_ptr().wrapping_add(at))
    }

    /// What is to be asked for while M rows from i on go by, of a group that begins with row `first` and goes by twice.
    /// `done` of its visits are over: in order each asks for half of as many bytes as a row has.
    #[inline(always)]
    pub(super) fn asks<const M: usize>(&self, i: usize, first: usize, done: usize) -> Soon<T, M> {
        if self.at.is_none() && self.stride < self.d + LANES {
            return match self.later(first) {
                Some(from) => Soon::InOrder(from.cast::<u8>().wrapping_add(done * self.stride * size_of::<T>() / 2)),
                None => Soon::Nothing,
            };
        }
        if i >= self.soon.len() && i * self.stride + FAR >= self.until {
            return Soon::Nothing;
        }
        Soon::Rows(std::array::from_fn(|r| self.soon(i + r).unwrap_or(self.row(i + r).as_ptr())))
    }

    /// Asks for M rows some way after row i.
    #[inline(always)]
    pub(super) fn ask<const M: usize>(&self, i: usize) {
        if self.at.is_some() {
            for &soon in self.soon.iter().skip(i).take(M) {
                prefetch(&self.values[soon as usize * self.stride..][..self.d]);
            }
        } else if i * self.stride + FAR < self.until && self.stride < LONG {
            ask(self.values.as_ptr().wrapping_add(i * self.stride + FAR).cast(), M * self.stride * size_of::<T>());
        }
    }
}

/// What a pass over M rows asks for meanwhile.
#[derive(Clone, Copy)]
pub(super) enum Soon<T, const M: usize> {
    Nothing,
    /// Every other line of these rows.
    Rows([*const T; M]),
    /// Lines from here on, some with each lane: memory hands them out sooner than those of several rows in turn.
    InOrder(*const u8),
}

impl<T, const M: usize> Soon<T, M> {
    /// Asks for what falls to lane c, of rows for their even lines or, if ODD, for the others.
    #[inline(always)]
    fn ask<const ODD: bool>(self, c: usize) {
        match self {
            Soon::Nothing => {}
            Soon::Rows(rows) => {
                if c * LANES * size_of::<T>() % (2 * LINE) == if ODD { LINE } else { 0 } {
                    for row in rows {
                        ask(row.wrapping_add(c * LANES).cast(), 1);
                    }
                }
            }
            Soon::InOrder(from) => {
                let lines = (M * LANES * size_of::<T>() / 2).div_ceil(LINE);
                for line in c * lines..(c + 1) * lines {
                    ask(from.wrapping_add(line * LINE), 1);
                }
            }
        }
    }

    /// Asks for the last line of rows of d numbers, which may be none of the even ones.
    #[inline(always)]
    fn ask_last(self, d: usize) {
        if let Soon::Rows(rows) = self {
            for row in rows {
                ask(row.wrapping_add(d - 1).cast(), 1);
            }
        }
    }
}

/// C lanes. Of several, the last holds what is left at its end, so that no load goes beyond the row: the processor
/// waits for lines that nobody asked for even where a mask hides them.
#[inline(always)]
pub(super) fn lanes<V: Lanes, T: Element, const C: usize>(x: &[T]) -> [V; C] {
    let (mut lanes, (whole, _)) = ([V::zero(); C], x.as_chunks::<LANES>());
    for c in 0..C - 1 {
        lanes[c] = load(&whole[c]);
    }
    lanes[C - 1] = if C > 1 { left(x, C - 1) } else { load_part(x) };
    lanes
}

/// What is left of a row after `whole` lanes, at the end of a lane if the row is as long as that.
#[inline(always)]
pub(super) fn left<V: Lanes, T: Element>(x: &[T], whole: usize) -> V {
    match x.last_chunk() {
        Some(last) => load_last(last, x.len() - whole * LANES),
        _ => load_part(x),
    }
}

/// The last `count` of eight numbers, however long.
#[inline(always)]
fn load_last<V: Lanes, T: Element>(x: &[T; LANES], count: usize) -> V {
    match (T::wide(x).map(<&[f64; LANES]>::try_from), T::half(x).map(<&[f32; LANES]>::try_from)) {
        (Some(Ok(x)), _) => V::load_last(x, count),
        (_, Some(Ok(x))) => V::load_half_last(x, count),
        _ => V::zero(),
    }
}

/// Eight numbers, however long.
#[inline(always)]
pub(super) fn load<V: Lanes, T: Element>(x: &[T; LANES]) -> V {
    match (T::wide(x).map(<&[f64; LANES]>::try_from), T::half(x).map(<&[f32; LANES]>::try_from)) {
        (Some(Ok(x)), _) => V::load(x),
        (_, Some(Ok(x))) => V::load_half(x),
        _ => V::zero(),
    }
}

/// Four numbers and four others, however long.
#[inline(always)]
pub(super) fn pair<V: Lanes, T: Element>(low: &[T; 4], high: &[T; 4]) -> V {
    let wide = |x| T::wide(x).map(<&[f64; 4]>::try_from);
    let half = |x| T::half(x).map(<&[f32; 4]>::try_from);
    match (wide(low), wide(high), half(low), half(high)) {
        (Some(Ok(low)), Some(Ok(high)), ..) => V::pair(low, high),
        (.., Some(Ok(low)), Some(Ok(high))) => V::pair_half(low, high),
        _ => V::zero(),
    }
}

/// The first numbers of fewer than eight, and zeros.
#[inline(always)]
pub(super) fn load_part<V: Lanes, T: Element>(x: &[T]) -> V {
    match (T::wide(x), T::half(x)) {
        (Some(x), _) => V::load_part(x),
        (_, Some(x)) => V::load_half_part(x),
        _ => V::zero(),
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

/// grad += sum of slope times x over M rows, even and odd ones in chains of their own; asks for what comes `soon`.
#[inline(always)]
pub(super) fn add_rows<V: Lanes, T: Element, const M: usize>(
    grad: &mut [f64],
    slopes: [f64; M],
    x: [&[T]; M],
    soon: Soon<T, M>,
) {
    let (all, mut splat) = (x.map(|x| &x[..grad.len()]), [V::zero(); M]);
    let (x, numbers) = (all.map(|x| x.as_chunks::<LANES>().0), grad.len());
    let (whole, rest) = grad.as_chunks_mut::<LANES>();
    let (lanes, rest) = (whole.len(), rest.len());
    for r in 0..M {
        splat[r] = V::splat(slopes[r]);
    }
    for (c, grad) in whole.iter_mut().enumerate() {
        soon.ask::<true>(c);
        let mut sums = [V::load(grad), V::zero()];
        for r in 0..M {
            sums[r % 2] = sums[r % 2].add_product(splat[r], load(&x[r][c]));
        }
        sums[0].add(sums[1]).store(grad);
    }
    if rest > 0 {
        soon.ask::<true>(lanes);
        let grad = &mut grad[numbers.saturating_sub(LANES)..];
        let mut sums = [V::load_part(grad), V::zero()];
        for r in 0..M {
            sums[r % 2] = sums[r % 2].add_product(splat[r], left(all[r], lanes));
        }
        unpadded([sums[0].add(sums[1])], grad);
    }
}

/// x . w of M rows; asks for what comes `soon`.
#[inline(always)]
pub(super) fn dots<V: Lanes, T: Element, const M: usize>(x: [&[T]; M], w: &[f64], soon: Soon<T, M>) -> [f64; M] {
    let (whole, rest) = w.as_chunks::<LANES>();
    let all = x.map(|x| &x[..w.len()]);
    let x = all.map(|x| x.as_chunks::<LANES>().0);
    let mut sums = [V::zero(); M];
    for (c, lanes) in whole.iter().enumerate() {
        let lanes = V::load(lanes);
        soon.ask::<false>(c);
        for r in 0..M {
            sums[r] = sums[r].add_product(load(&x[r][c]), lanes);
        }
    }
    soon.ask_last(w.len());
    if !rest.is_empty() {
        soon.ask::<false>(whole.len());
        let lanes = left(w, whole.len());
        for r in 0..M {
            sums[r] = sums[r].add_product(left(all[r], whole.len()), lanes);
        }
    }
    totals(sums)
}

/// Puts C lanes where `lanes` would find them: the last one first, as the others overwrite what it has no numbers for.
#[inline(always)]
pub(super) fn unpadded<V: Lanes, const C: usize>(lanes: [V; C], values: &mut [f64]) {
    match values.last_chunk_mut() {
        Some(last) => lanes[C - 1].store(last),
        None => lanes[C - 1].store_part(values),
    }
    for (c, values) in values.as_chunks_mut::<LANES>().0.iter_mut().take(C - 1).enumerate() {
        lanes[c].store(values);
    }
}
