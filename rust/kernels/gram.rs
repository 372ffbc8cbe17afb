//! Gram: blocks of rows about a point, turned into columns, and the sums and products of these.

use super::lanes::{LANES, Lanes, Register, fours_of};
use super::walk::{Walk, load, load_part, pair, totals};
use super::{Eight, Element, Lines, Place, Summed, Work};

pub(super) struct Centre<'a, T> {
    pub lines: Lines<'a, T>,
    pub away: &'a [f64],
    pub s: &'a [Eight],
    pub columns: Summed<'a>,
}

/// Columns that are turned at once.
const FOUR: usize = 4;
/// How many times four columns are worked on one after the other, by stretches of how many times eight rows: so what
/// lies beside is still near when its turn comes, and sums stay in registers for a while.
const PANEL: usize = 8;
const STRETCH: usize = 4;
/// The first of the two rows in each of what is turned.
const FIRST: [usize; FOUR] = [0, 1, 4, 5];

/// Sums over rows in each lane: of s z, of s z^2, and the bits that any z has.
#[derive(Clone, Copy)]
struct Seen<V> {
    sum: V,
    square: V,
    any: V,
}

impl<V: Lanes> Seen<V> {
    #[inline(always)]
    fn none() -> Self {
        Seen { sum: V::zero(), square: V::zero(), any: V::zero() }
    }

    /// Adds z, and what it is times its weight.
    #[inline(always)]
    fn add(&mut self, z: V, weighted: V) {
        self.sum = self.sum.add(weighted);
        self.square = self.square.add_product(weighted, z);
        self.any = self.any.either(z);
    }

    /// The same in numbers.
    #[inline(always)]
    fn lanes(self) -> [[f64; LANES]; 3] {
        let mut lanes = [[0.0; LANES]; 3];
        for (lanes, sums) in lanes.iter_mut().zip([self.sum, self.square, self.any]) {
            sums.store(lanes);
        }
        lanes
    }
}

impl<T: Element> Work for Centre<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        match self.s {
            [] => self.all::<V, false>(),
            _ => self.all::<V, true>(),
        }
    }
}

impl<T: Element> Centre<'_, T> {
    #[inline(always)]
    fn all<V: Lanes, const S: bool>(mut self) {
        let (walk, d) = (Walk::new(self.lines, self.away.len()), self.away.len());
        if d < FOUR {
            return self.few::<V, S>(&walk);
        }
        for first in (0..d.div_ceil(FOUR)).step_by(PANEL) {
            self.panel::<V, S>(&walk, first);
        }
    }

    /// Fewer than four columns. A single one needs no turning.
    #[inline(always)]
    fn few<V: Lanes, const S: bool>(&mut self, walk: &Walk<T>) {
        let (d, mut seen) = (self.away.len(), [Seen::<V>::none(); FOUR]);
        for i in (0..walk.count).step_by(LANES) {
            let (count, mut z) = (LANES.min(walk.count - i), [V::zero(); FOUR]);
            walk.ask::<LANES>(i);
            match self.lines {
                Lines::Together { values, stride: 1, .. } => {
                    z[0] = values[i..].first_chunk().map_or_else(|| load_part(&values[i..]), load);
                }
                _ => {
                    let mut rows = [[0.0; LANES]; LANES];
                    for (r, row) in rows.iter_mut().enumerate().take(count) {
                        load_part::<V, T>(walk.row(i + r)).store(row);
                    }
                    let x = fours_of(rows.as_flattened(), LANES);
                    z = V::turned(FIRST.map(|r| V::pair(x[r], x[r + 2])));
                }
            }
            for j in 0..d {
                let mut z = z[j].minus(V::splat(self.away[j]));
                if count < LANES {
                    z = z.and_from(count, V::zero());
                }
                let weighted = if S { V::zero().add_product(V::load(&self.s[i / LANES].0), z) } else { z };
                seen[j].add(z, weighted);
                z.store(&mut self.columns.out[i / LANES * self.columns.stride + j].0);
            }
        }
        for (sums, seen) in self.columns.sums.iter_mut().zip(seen) {
            let [_, _, any] = seen.lanes();
            sums.sum += seen.sum.total();
            sums.square += seen.square.total();
            sums.any |= any.iter().any(|&any| any != 0.0);
        }
    }

    /// Fours of columns from `first` on.
    #[inline(always)]
    fn panel<V: Lanes, const S: bool>(&mut self, walk: &Walk<T>, first: usize) {
        let (d, mut seen) = (self.away.len(), [Seen::<V>::none(); PANEL]);
        let fours = (d.div_ceil(FOUR) - first).min(PANEL);
        // the last four begin sooner where fewer are left
        let from = |c: usize| ((first + c) * FOUR).min(d - FOUR);
        for start in (0..walk.count).step_by(STRETCH * LANES) {
            let end = walk.count.min(start + STRETCH * LANES);
            for (c, seen) in seen.iter_mut().enumerate().take(fours) {
                let [away, ..] = fours_of(&self.away[from(c)..], 0);
                let (away, mut sums) = (V::pair(away, away), *seen);
                for i in (start..end).step_by(LANES) {
                    self.turn::<V, S>(walk, i, from(c), away, &mut sums);
                }
                *seen = sums;
            }
        }
        for (c, seen) in seen.iter().enumerate().take(fours) {
            let [sum, square, any] = seen.lanes();
            for l in (first + c) * FOUR - from(c)..FOUR {
                let sums = &mut self.columns.sums[from(c) + l];
                sums.sum += sum[l] + sum[FOUR + l];
                sums.square += square[l] + square[FOUR + l];
                sums.any |= any[l] != 0.0 || any[FOUR + l] != 0.0;
            }
        }
    }

    /// Four columns from `from` on of the eight rows from i on.
    #[inline(always)]
    fn turn<V: Lanes, const S: bool>(&mut self, walk: &Walk<T>, i: usize, from: usize, away: V, seen: &mut Seen<V>) {
        let count = walk.count - i;
        let mut rest;
        let (x, stride) = match self.lines {
            Lines::Together { values, stride, .. } if count >= LANES => (&values[i * stride + from..], stride),
            _ => {
                rest = [[T::narrow(0.0); FOUR]; LANES];
                for (r, rest) in rest.iter_mut().enumerate().take(count) {
                    rest.copy_from_slice(&walk.row(i + r)[from..][..FOUR]);
                }
                (rest.as_flattened(), FOUR)
            }
        };
        let (x, mut z) = (fours_of(x, stride), [away; FOUR]);
        for (z, r) in z.iter_mut().zip(FIRST) {
            *z = pair::<V, T>(x[r], x[r + 2]).minus(away);
        }
        if count < LANES {
            for (z, r) in z.iter_mut().zip(FIRST) {
                *z = z.and_from(
                    if r + 2 < count {
                        LANES
                    } else if r < count {
                        FOUR
                    } else {
                        0
                    },
                    V::zero(),
                );
            }
        }
        for (&z, r) in z.iter().zip(FIRST) {
            let mut weighted = z;
            if S {
                let Eight(s) = &self.s[i / LANES];
                weighted = V::zero().add_product(V::splat(s[r]).and_from(FOUR, V::splat(s[r + 2])), z);
            }
            seen.add(z, weighted);
        }
        let out = &mut self.columns.out[i / LANES * self.columns.stride + from..][..FOUR];
        for (out, column) in out.iter_mut().zip(V::turned(z)) {
            column.store(&mut out.0);
        }
    }
}

pub(super) struct Products<'a> {
    pub columns: &'a [Eight],
    pub p: usize,
    pub s: &'a [Eight],
    pub products: &'a mut [f64],
    pub soon: Place,
    /// For the sums of one part of a tile, where they would be in the way of those of the next in registers.
    pub room: &'a mut [Eight; LARGEST],
}

impl Work for Products<'_> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        match self.s {
            [] if V::MANY => self.tiles::<V, 4, false>(),
            [] => self.tiles::<V, 3, false>(),
            _ if V::MANY => self.tiles::<V, 4, true>(),
            _ => self.tiles::<V, 3, true>(),
        }
    }
}

/// Columns of a tile, and those times the ones that they are multiplied with, at most.
const TILE: usize = 4;
const LARGEST: usize = TILE * TILE;

impl Products<'_> {
    /// By tiles of up to four columns with up to B, so that the sums stay in registers.
    #[inline(always)]
    fn tiles<V: Lanes, const B: usize, const S: bool>(&mut self) {
        for j in (0..self.p).step_by(TILE) {
            match self.p - j {
                1 => {}
                2 => self.tile::<V, 2, 2, true, S>(j, j),
                3 => self.tile::<V, 3, 3, true, S>(j, j),
                _ => self.tile::<V, TILE, TILE, true, S>(j, j),
            }
            for k in (j + TILE..self.p).step_by(B) {
                match self.p - k {
                    1 => self.tile::<V, TILE, 1, false, S>(j, k),
                    2 => self.tile::<V, TILE, 2, false, S>(j, k),
                    3 => self.tile::<V, TILE, 3, false, S>(j, k),
                    _ => self.tile::<V, TILE, B, false, S>(j, k),
                }
            }
        }
    }

    /// Adds the products of A columns from j on with B columns from k on; if they are the same, those of different
    /// ones.
    #[inline(always)]
    fn tile<V: Lanes, const A: usize, const B: usize, const SAME: bool, const S: bool>(&mut self, j: usize, k: usize) {
        let aside = S && V::Register::COUNT > 1; // LLVM would spill sums that are added to, not those of the last part
        let (mut alone, mut all) = ([Eight::default(); LARGEST], [V::zero(); LARGEST]);
        for part in 0..V::Register::COUNT {
            let sums = self.sums::<V::Register, A, B, SAME, S>(j, k, part);
            let room = if aside { &mut *self.room } else { &mut alone };
            for (room, sum) in room.iter_mut().zip(sums.as_flattened()) {
                sum.store(&mut room.0, part);
            }
        }
        let parts = self.columns.len() / self.p * V::Register::COUNT;
        self.soon = self.soon.after(asks::<V::Register>() * parts);
        let room = if aside { &*self.room } else { &alone };
        for (all, sum) in all[..A * B].iter_mut().zip(room) {
            *all = V::load(&sum.0);
        }
        let totals = totals(all);
        for a in 0..A {
            let out = &mut self.products[(j + a) * self.p + k..][..B];
            for b in 0..B {
                out[b] += totals[a * B + b];
            }
        }
    }

    /// Their sums of a part of every eight rows, each of these by itself; asks for some lines meanwhile. Lanes of
    /// several registers as a whole would leave room for four sums only.
    #[inline(always)]
    fn sums<R: Register, const A: usize, const B: usize, const SAME: bool, const S: bool>(
        &self,
        j: usize,
        k: usize,
        part: usize,
    ) -> [[R; B]; A] {
        let mut sums = [[R::zero(); B]; A];
        for (i, x) in self.columns.chunks_exact(self.p).enumerate() {
            for line in 0..asks::<R>() {
                self.soon.ask(asks::<R>() * (R::COUNT * i + part) + line);
            }
            let (left, right, mut b) = (&x[j..][..A], &x[k..][..B], [R::zero(); B]);
            for k in 0..B {
                b[k] = R::load(&right[k].0, part);
                if S {
                    b[k] = b[k].times(R::load(&self.s[i].0, part));
                }
            }
            for t in 0..A {
                let a = R::load(&left[t].0, part);
                for k in if SAME { t + 1 } else { 0 }..B {
                    sums[t][k] = sums[t][k].add_product(a, b[k]);
                }
            }
        }
        sums
    }
}

/// Lines that are asked for with a tile's products of a part of eight rows: the same for every part, and two or more
/// for all of them.
#[inline(always)]
fn asks<R: Register>() -> usize {
    2usize.div_ceil(R::COUNT)
}
