//! Gram: blocks of rows about a point, turned into columns, and the sums and products of these.

use std::ops::Range;

use super::lanes::{LANES, Lanes, Register};
use super::walk::{Walk, left, load, load_part, totals};
use super::{Eight, Element, Lines, Place, Sums, Work};

pub(super) struct Centre<'a, T> {
    pub lines: Lines<'a, T>,
    pub away: &'a [f64],
    pub out: &'a mut [Eight],
    pub stride: usize,
}

impl<T: Element> Work for Centre<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let walk = Walk::new(self.lines, self.away.len());
        for i in (0..walk.count).step_by(LANES) {
            walk.ask::<LANES>(i);
            walk.bring::<LANES>(i);
            match (self.lines, walk.count - i) {
                (Lines::Together { values, stride: 1, .. }, _) => self.column::<V>(i, &values[i..]),
                (_, LANES..) => self.rows::<V>(i, &walk, LANES),
                (_, count) => self.rows::<V>(i, &walk, count),
            }
        }
    }
}

impl<T: Element> Centre<'_, T> {
    /// Rows of one number, which are a column already.
    #[inline(always)]
    fn column<V: Lanes>(&mut self, i: usize, x: &[T]) {
        let (out, away) = (&mut self.out[i / LANES * self.stride].0, V::splat(self.away[0]));
        match x.first_chunk() {
            Some(x) => load::<V, T>(x).minus(away).store(out),
            None => load_part::<V, T>(x).minus(away).and_from(x.len(), V::zero()).store(out),
        }
    }

    /// Rows from i on, of which `count` are there.
    #[inline(always)]
    fn rows<V: Lanes>(&mut self, i: usize, walk: &Walk<T>, count: usize) {
        let (d, mut z) = (self.away.len(), [V::zero(); LANES]);
        let (mut x, (lanes, _)) = ([walk.row(i); LANES], self.away.as_chunks());
        for (r, x) in x.iter_mut().enumerate().take(count) {
            *x = walk.row(i + r);
        }
        for (c, lane) in lanes.iter().enumerate() {
            let away = V::load(lane);
            for r in 0..count {
                z[r] = load::<V, T>(&x[r].as_chunks().0[c]).minus(away);
            }
            self.turn(i, z, c * LANES, 0..LANES);
        }
        if d % LANES > 0 {
            let (from, away): (_, V) = (d.saturating_sub(LANES), left(self.away, lanes.len()));
            for r in 0..count {
                z[r] = left::<V, T>(x[r], lanes.len()).minus(away);
            }
            self.turn(i, z, from, lanes.len() * LANES - from..d - from);
        }
    }

    /// The lanes `new` of eight rows, which are columns from `from` on.
    #[inline(always)]
    fn turn<V: Lanes>(&mut self, i: usize, z: [V; LANES], from: usize, new: Range<usize>) {
        let (columns, out) = (V::columns(z), &mut self.out[i / LANES * self.stride + from..][..new.end]);
        for l in 0..LANES {
            if new.contains(&l) {
                columns[l].store(&mut out[l].0);
            }
        }
    }
}

pub(super) struct Squares<'a> {
    pub columns: &'a [Eight],
    pub s: &'a [Eight],
    pub sums: &'a mut [Sums],
}

impl Work for Squares<'_> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let (p, mut j) = (self.sums.len(), 0);
        while j < p {
            j += match (p - j, self.s) {
                (4.., []) if V::MANY => self.several::<V, 4, false>(j),
                (4.., _) if V::MANY => self.several::<V, 4, true>(j),
                (_, []) => self.several::<V, 1, false>(j),
                (_, _) => self.several::<V, 1, true>(j),
            };
        }
    }
}

impl Squares<'_> {
    /// C columns from j on, of rows that weigh s or the same; answers C.
    #[inline(always)]
    fn several<V: Lanes, const C: usize, const S: bool>(&mut self, j: usize) -> usize {
        let (p, [mut sum, mut range, mut square]) = (self.sums.len(), [[V::zero(); C]; 3]);
        for (i, x) in self.columns.chunks_exact(p).enumerate() {
            let x = &x[j..][..C];
            for c in 0..C {
                let z = V::load(&x[c].0);
                let weighted = if S { V::zero().add_product(V::load(&self.s[i].0), z) } else { z };
                sum[c] = sum[c].add(weighted);
                range[c] = range[c].widest(z);
                square[c] = square[c].add_product(weighted, z);
            }
        }
        for (c, sums) in self.sums[j..][..C].iter_mut().enumerate() {
            V::load(&sums.sum.0).add(sum[c]).store(&mut sums.sum.0);
            V::load(&sums.range.0).widest(range[c]).store(&mut sums.range.0);
            V::load(&sums.square.0).add(square[c]).store(&mut sums.square.0);
        }
        C
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
