//! Gram: blocks of rows about a point, and the products of their columns.

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, load, load_part, several};
use super::{Element, Lines, Place, Work};

/// Lanes of columns that go by together.
const PANEL: usize = 4;

pub(super) struct Centre<'a, T> {
    pub lines: Lines<'a, T>,
    pub d: usize,
    pub away: &'a [f64],
    pub s: &'a [f64],
    pub out: &'a mut [f64],
    pub stride: usize,
    pub sums: &'a mut [f64],
    pub range: &'a mut [f64],
}

impl<T: Element> Work for Centre<'_, T> {
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let mut from = 0;
        while from + PANEL * LANES <= self.d {
            self.panel::<V, PANEL>(from);
            from += PANEL * LANES;
        }
        while from + LANES <= self.d {
            self.panel::<V, 1>(from);
            from += LANES;
        }
        if from < self.d {
            self.rest::<V>(from);
        }
    }
}

impl<T: Element> Centre<'_, T> {
    /// C lanes of columns from `from` on.
    #[inline(always)]
    fn panel<V: Lanes, const C: usize>(&mut self, from: usize) {
        let walk = Walk::new(self.lines, self.d);
        let (away, mut sums, mut range): ([V; C], [V; C], [V; C]) =
            (several(&self.away[from..]), several(&self.sums[from..]), several(&self.range[from..]));
        for i in 0..walk.count {
            if from == 0 {
                walk.ask::<1>(i);
            }
            let (x, _) = walk.row(i)[from..][..C * LANES].as_chunks::<LANES>();
            let (out, _) = self.out[i * self.stride + from..][..C * LANES].as_chunks_mut::<LANES>();
            let s = V::splat(if self.s.is_empty() { 1.0 } else { self.s[i] });
            for c in 0..C {
                let z = load::<V, T>(&x[c]).minus(away[c]);
                z.store(&mut out[c]);
                sums[c] = sums[c].add_product(s, z);
                range[c] = range[c].widest(z);
            }
        }
        for c in 0..C {
            let at = from + c * LANES;
            sums[c].store(&mut self.sums[at..][..LANES].as_chunks_mut().0[0]);
            range[c].store(&mut self.range[at..][..LANES].as_chunks_mut().0[0]);
        }
    }

    /// The same for the last columns, fewer than eight, and zeros after them.
    #[inline(always)]
    fn rest<V: Lanes>(&mut self, from: usize) {
        let walk = Walk::new(self.lines, self.d);
        let (away, mut sums) = (V::load_part(&self.away[from..self.d]), V::load_part(&self.sums[from..self.d]));
        let mut range = V::load_part(&self.range[from..self.d]);
        for i in 0..walk.count {
            if from == 0 {
                walk.ask::<1>(i);
            }
            let z = load_part::<V, T>(&walk.row(i)[from..]).minus(away);
            let (out, _) = self.out[i * self.stride + from..][..LANES].as_chunks_mut::<LANES>();
            z.store(&mut out[0]);
            sums = sums.add_product(V::splat(if self.s.is_empty() { 1.0 } else { self.s[i] }), z);
            range = range.widest(z);
        }
        let mut lanes = [0.0; LANES];
        sums.store(&mut lanes);
        self.sums[from..self.d].copy_from_slice(&lanes[..self.d - from]);
        range.store(&mut lanes);
        self.range[from..self.d].copy_from_slice(&lanes[..self.d - from]);
    }
}

pub(super) struct Products<'a> {
    pub rows: &'a [f64],
    pub d: usize,
    pub s: &'a [f64],
    pub products: &'a mut [f64],
    pub soon: Place,
}

/// Columns whose products with others are summed at once, so that the sums stay in registers.
const TILE: usize = 4;

impl Work for Products<'_> {
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Products { rows, d, s, products, mut soon } = self;
        for j in (0..d).step_by(TILE) {
            let mut k = j / LANES * LANES;
            while k < d {
                k += LANES
                    * match (d - k) / LANES {
                        3.. if V::MANY => several_products::<V, 3>(rows, d, j, k, s, products, soon),
                        2 if V::MANY => several_products::<V, 2>(rows, d, j, k, s, products, soon),
                        _ => several_products::<V, 1>(rows, d, j, k, s, products, soon),
                    };
                soon = soon.after(rows.len() / d);
            }
        }
    }
}

/// Adds the products of columns j.. with C lanes of columns from k on, of rows that weigh s or the same; answers C.
/// Asks for a line of `soon` a row.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "one pass for all of it")]
fn several_products<V: Lanes, const C: usize>(
    rows: &[f64],
    d: usize,
    j: usize,
    k: usize,
    s: &[f64],
    products: &mut [f64],
    soon: Place,
) -> usize {
    let sums = match s {
        [] => tile::<V, C, false>(rows, d, j, k, s, soon),
        _ => tile::<V, C, true>(rows, d, j, k, s, soon),
    };
    for (t, sums) in sums.into_iter().enumerate() {
        let out = products[(j + t) * d + k..][..C * LANES].as_chunks_mut().0;
        for (out, sum) in out.iter_mut().zip(sums) {
            V::load(out).add(sum).store(out);
        }
    }
    C
}

#[inline(always)]
fn tile<V: Lanes, const C: usize, const S: bool>(
    rows: &[f64],
    d: usize,
    j: usize,
    k: usize,
    s: &[f64],
    soon: Place,
) -> [[V; C]; TILE] {
    let mut sums = [[V::zero(); C]; TILE];
    for (i, x) in rows.chunks_exact(d).enumerate() {
        soon.ask(i);
        let (a, b): (_, [V; C]) = (&x[j..][..TILE], several(&x[k..]));
        for t in 0..TILE {
            let a = V::splat(if S { s[i] * a[t] } else { a[t] });
            for c in 0..C {
                sums[t][c] = sums[t][c].add_product(a, b[c]);
            }
        }
    }
    sums
}
