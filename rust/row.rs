//! Row: one row at a time, dense or sparse, and what a step does with it. Coefficients are f64 however rows are stored.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::{self, Bound, Element, Lines, Set, prefetch, prefetch_line, set};

/// Sums over coefficients, of squares and of magnitudes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Norms {
    pub square: f64,
    pub absolute: f64,
}

impl Norms {
    /// Those of some coefficients.
    pub fn of(w: &[f64]) -> Self {
        let mut norms = Norms::default();
        w.iter().for_each(|&w| norms.count(w));
        norms
    }

    #[inline]
    fn count(&mut self, w: f64) {
        self.square += w * w;
        self.absolute += w.abs();
    }
}

/// Sums that a row goes into, as an addition takes longer than the next number needs.
const CHAINS: usize = 4;

/// The features that a row has, each with its value.
pub trait Row<T: Element>: Copy {
    /// Whether every feature is there, once and in order.
    const FULL: bool;

    /// How many there are.
    fn len(self) -> usize;

    /// Whether there are none.
    fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Each feature in turn.
    fn each(self, f: impl FnMut(usize, T));

    /// sum_j x_j w_j
    #[inline]
    fn dot(self, w: &[f64]) -> f64 {
        let mut sum = 0.0;
        self.each(|j, x| sum += w[j] * x.into());
        sum
    }

    /// |x|^2
    #[inline]
    fn square(self) -> f64 {
        let mut sum = 0.0;
        self.each(|_, x| sum += x.into() * x.into());
        sum
    }

    /// w += c x; returns the norms of what was touched.
    #[inline]
    fn add(self, w: &mut [f64], c: f64) -> Norms {
        let mut norms = Norms::default();
        self.each(|j, x| {
            w[j] += x.into() * c;
            norms.count(w[j]);
        });
        norms
    }

    /// w += c x; returns by how much the norms of all of w grow, that of magnitudes only if `L1`.
    fn shift<const L1: bool>(self, w: &mut [f64], c: f64) -> Norms;
}

/// A row that has every feature.
#[derive(Debug, Clone, Copy)]
pub struct Full<'a, T>(pub &'a [T]);

impl<T: Element> Row<T> for Full<'_, T> {
    const FULL: bool = true;

    #[inline]
    fn len(self) -> usize {
        self.0.len()
    }

    #[inline]
    fn each(self, mut f: impl FnMut(usize, T)) {
        self.0.iter().enumerate().for_each(|(j, &x)| f(j, x));
    }

    #[inline]
    fn dot(self, w: &[f64]) -> f64 {
        let mut sum = 0.0;
        self.0.iter().zip(w).for_each(|(&x, &w)| sum += w * x.into());
        sum
    }

    #[inline]
    fn add(self, w: &mut [f64], c: f64) -> Norms {
        let mut norms = Norms::default();
        for (&x, w) in self.0.iter().zip(w) {
            *w += x.into() * c;
            norms.count(*w);
        }
        norms
    }

    #[inline]
    fn shift<const L1: bool>(self, w: &mut [f64], c: f64) -> Norms {
        let before = Norms::of(w);
        let after = self.add(w, c);
        Norms { square: after.square - before.square, absolute: after.absolute - before.absolute }
    }
}

/// A row that has some features, in any order; what is there twice counts twice.
#[derive(Debug, Clone, Copy)]
pub struct Few<'a, T, I> {
    values: &'a [T],
    at: &'a [I],
    /// Whether sums go in order.
    in_order: bool,
}

impl<T: Element, I: Index> Row<T> for Few<'_, T, I> {
    const FULL: bool = false;

    #[inline]
    fn len(self) -> usize {
        self.values.len()
    }

    #[inline]
    fn each(self, mut f: impl FnMut(usize, T)) {
        self.at.iter().zip(self.values).for_each(|(&j, &x)| f(j.place(), x));
    }

    #[inline]
    fn dot(self, w: &[f64]) -> f64 {
        let ((at, at_rest), (x, x_rest)) = (self.at.as_chunks::<CHAINS>(), self.values.as_chunks::<CHAINS>());
        let (mut sum, mut sums) = (0.0, [0.0; CHAINS]);
        if self.in_order {
            self.each(|j, x| sum += w[j] * x.into());
            return sum;
        }
        for (at, x) in at.iter().zip(x) {
            for k in 0..CHAINS {
                sums[k] += w[at[k].place()] * x[k].into();
            }
        }
        for (j, &x) in at_rest.iter().zip(x_rest) {
            sum += w[j.place()] * x.into();
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3]) + sum
    }

    #[inline]
    fn shift<const L1: bool>(self, w: &mut [f64], c: f64) -> Norms {
        let ((at, at_rest), (x, x_rest)) = (self.at.as_chunks::<CHAINS>(), self.values.as_chunks::<CHAINS>());
        let (mut square, mut absolute) = ([0.0; CHAINS], [0.0; CHAINS]);
        let mut one = |j: I, x: T, k: usize| {
            let w = &mut w[j.place()];
            let (before, change) = (*w, x.into() * c);
            *w += change;
            square[k] += change * (before + *w);
            if L1 {
                absolute[k] += w.abs() - before.abs();
            }
        };
        for (at, x) in at.iter().zip(x) {
            for k in 0..CHAINS {
                one(at[k], x[k], k);
            }
        }
        for (&j, &x) in at_rest.iter().zip(x_rest) {
            one(j, x, 0);
        }
        Norms { square: square.iter().sum(), absolute: absolute.iter().sum() }
    }
}

/// A stored index.
pub trait Index: Copy + Send + Sync {
    /// As a place in memory; a negative one is beyond every array.
    fn place(self) -> usize;
}

impl Index for i32 {
    #[inline]
    fn place(self) -> usize {
        self as usize // which keeps the sign in the upper bits
    }
}

impl Index for i64 {
    #[inline]
    fn place(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }
}

/// Rows to be had by number.
pub trait Table: Sync {
    type Number: Element;
    type Row<'a>: Row<Self::Number>
    where
        Self: 'a;

    /// How many rows there are.
    fn n(&self) -> usize;

    /// How many features a row can have.
    fn d(&self) -> usize;

    /// Row `i`.
    fn row(&self, i: usize) -> Self::Row<'_>;

    /// Some rows as kernels take them, if they do.
    fn lines(&self, _rows: Range<usize>) -> Option<Lines<'_>> {
        None
    }

    /// All rows, if they take turns.
    fn bound(&self) -> Option<&Bound> {
        None
    }
}

/// Rows that can be copied together.
pub trait Stored: Table {
    /// Rows one after the other, in room of their own.
    type Together: Table + Default + Send;

    /// Numbers of a row, on average.
    fn width(&self) -> usize;

    /// Puts the rows `at` together, `bound` if they are to take turns and can, with |x|^2 or without; and of the numbers
    /// `beside` them those of each, behind what is there already.
    ///
    /// # Errors
    /// If there is no memory for it.
    fn bring(
        &self,
        set: Set,
        at: &[u32],
        bound: Option<bool>,
        beside: (&[f64], &mut Vec<f64>),
        together: &mut Self::Together,
    ) -> Result<(), Error>;
}

/// How many rows ahead memory is asked for, at most and at least, and numbers ahead where rows are long.
const AHEAD: usize = 32;
const LEAST_AHEAD: usize = 4;
const AHEAD_NUMBERS: usize = 2048;
/// Rows that are brought between two looks at their targets.
const BLOCK: usize = 32;

/// Visits the rows from 0 to `count`; `soon` is told of each well before.
fn each(count: usize, width: usize, soon: impl Fn(usize), mut visit: impl FnMut(usize)) {
    let ahead = (AHEAD_NUMBERS / width.max(1)).clamp(LEAST_AHEAD, AHEAD);
    (0..count.min(ahead)).for_each(&soon);
    for k in 0..count {
        if k + ahead < count {
            soon(k + ahead);
        }
        visit(k);
    }
}

/// Room for so many more.
fn reserve<T>(values: &mut Vec<T>, count: usize) -> Result<(), Error> {
    let bytes = count.saturating_mul(size_of::<T>());
    values.try_reserve(count).map_err(|_| Error::Memory { what: "the next rows", bytes })
}

/// Rows one after the other, each of d numbers.
#[derive(Debug, Clone, Copy)]
pub struct Grid<'a, T> {
    values: &'a [T],
    d: usize,
}

impl<'a, T: Element> Grid<'a, T> {
    /// # Errors
    /// If the values are no rows of `d` numbers.
    pub fn new(values: &'a [T], d: usize) -> Result<Self, Error> {
        if d == 0 || !values.len().is_multiple_of(d) {
            return Err(Error::argument("X", format!("{} numbers", values.len()), format!("rows of {d} numbers")));
        }
        Ok(Grid { values, d })
    }
}

impl<T: Element> Table for Grid<'_, T> {
    type Number = T;
    type Row<'a>
        = Full<'a, T>
    where
        Self: 'a;

    fn n(&self) -> usize {
        self.values.len() / self.d
    }

    fn d(&self) -> usize {
        self.d
    }

    #[inline]
    fn row(&self, i: usize) -> Full<'_, T> {
        Full(&self.values[i * self.d..][..self.d])
    }
}

impl<T: Element> Stored for Grid<'_, T> {
    type Together = Gathered;

    fn width(&self) -> usize {
        self.d
    }

    fn bring(
        &self,
        set: Set,
        at: &[u32],
        bound: Option<bool>,
        (y, told): (&[f64], &mut Vec<f64>),
        together: &mut Gathered,
    ) -> Result<(), Error> {
        let (d, count, bound) = (self.d, at.len(), bound.filter(|_| Bound::takes(set, self.d, 1)));
        (together.d, together.in_turns) = (d, bound.is_some());
        let (stride, ahead) = (Bound::stride(d), (AHEAD_NUMBERS / d).clamp(LEAST_AHEAD, AHEAD));
        let room = together.bound.room(count, d)?;
        at.iter().take(ahead).for_each(|&i| prefetch(self.row(i as usize).0));
        // targets are asked for beside the rows, as memory has room for more than the lines of these
        for (first, room) in (0..count).step_by(BLOCK).zip(room.chunks_mut(BLOCK * stride)) {
            let some = &at[first..count.min(first + BLOCK)];
            let soon = |ahead: usize| at.get(first + ahead..).unwrap_or(&[]);
            kernels::gather(
                set,
                Lines::Apart { values: self.values, stride: d, at: some, soon: soon(ahead) },
                d,
                stride,
                room,
            );
            kernels::append(y, some, soon(BLOCK), told);
        }
        if let Some(squares) = bound {
            together.bound.bind(set, squares);
        }
        Ok(())
    }
}

/// The same in room of their own, in f64.
#[derive(Debug, Default)]
pub struct Gathered {
    bound: Bound,
    in_turns: bool,
    d: usize,
}

impl Table for Gathered {
    type Number = f64;
    type Row<'a>
        = Full<'a, f64>
    where
        Self: 'a;

    fn n(&self) -> usize {
        self.bound.len()
    }

    fn d(&self) -> usize {
        self.d
    }

    #[inline]
    fn row(&self, i: usize) -> Full<'_, f64> {
        Full(&self.bound.rows()[i * Bound::stride(self.d)..][..self.d])
    }

    fn lines(&self, rows: Range<usize>) -> Option<Lines<'_>> {
        let stride = Bound::stride(self.d);
        Some(Lines::Together { values: &self.bound.rows()[rows.start * stride..rows.end * stride], stride, beyond: 0 })
    }

    fn bound(&self) -> Option<&Bound> {
        self.in_turns.then_some(&self.bound)
    }
}

/// Compressed sparse rows: row i has the features `indices[k]` with `data[k]`, k from `indptr[i]` to `indptr[i + 1]`.
#[derive(Debug, Clone, Copy)]
pub struct Csr<'a, T, I> {
    data: &'a [T],
    indices: &'a [I],
    indptr: &'a [I],
    d: usize,
    in_order: bool,
}

impl<'a, T: Element, I: Index> Csr<'a, T, I> {
    /// # Errors
    /// If `indptr` is empty, begins anywhere but at 0, falls, or ends beyond the data, or an index is not below `d`.
    pub fn new(data: &'a [T], indices: &'a [I], indptr: &'a [I], d: usize) -> Result<Self, Error> {
        let wrong = |what: String, accepted: &str| Err(Error::argument("X", what, accepted));
        let stored = data.len().min(indices.len());
        match indptr.first() {
            Some(first) if first.place() == 0 => {}
            _ => return wrong("one whose indptr doesn't".into(), "a CSR matrix whose indptr begins with 0"),
        }
        if let Some(i) = indptr.windows(2).position(|ends| ends[1].place() < ends[0].place()) {
            return wrong(format!("one whose indptr falls after row {i}"), "a CSR matrix whose indptr never falls");
        }
        let end = indptr.last().map_or(0, |last| last.place());
        if end > stored {
            let accepted = format!("a CSR matrix whose indptr ends within its {stored} stored numbers");
            return wrong("one whose indptr ends beyond".into(), &accepted);
        }
        if let Some(k) = indices[..end].iter().position(|j| j.place() >= d) {
            let accepted = format!("a CSR matrix whose column indices are from 0 to {}", d.saturating_sub(1));
            return wrong(format!("another one at stored number {k}"), &accepted);
        }
        Ok(Csr { data, indices, indptr, d, in_order: set()? == Set::NAIVE })
    }
}

impl<T: Element, I: Index> Table for Csr<'_, T, I> {
    type Number = T;
    type Row<'a>
        = Few<'a, T, I>
    where
        Self: 'a;

    fn n(&self) -> usize {
        self.indptr.len() - 1
    }

    fn d(&self) -> usize {
        self.d
    }

    #[inline]
    fn row(&self, i: usize) -> Few<'_, T, I> {
        let (from, to) = (self.indptr[i].place(), self.indptr[i + 1].place());
        Few { values: &self.data[from..to], at: &self.indices[from..to], in_order: self.in_order }
    }
}

impl<T: Element, I: Index> Stored for Csr<'_, T, I> {
    type Together = GatheredCsr<T, I>;

    fn width(&self) -> usize {
        self.data.len() / self.n().max(1)
    }

    fn bring(
        &self,
        _set: Set,
        at: &[u32],
        _bound: Option<bool>,
        (y, told): (&[f64], &mut Vec<f64>),
        together: &mut GatheredCsr<T, I>,
    ) -> Result<(), Error> {
        let GatheredCsr { data, indices, begins, ends, d, in_order } = together;
        data.clear();
        indices.clear();
        begins.clear();
        ends.clear();
        (*d, *in_order) = (self.d, self.in_order);
        reserve(begins, at.len())?;
        reserve(ends, at.len())?;
        // where all rows begin, before any is asked for: that would wait for this
        let (mut count, indptr) = (0, self.indptr);
        let soon = |k| prefetch_line(&indptr[at[k] as usize]);
        each(at.len(), 1, soon, |k| {
            let (from, to) = (indptr[at[k] as usize].place(), indptr[at[k] as usize + 1].place());
            count += to - from;
            begins.push(from);
            ends.push(count);
        });
        reserve(data, count)?;
        reserve(indices, count)?;
        let places = |k: usize| begins[k]..begins[k] + (ends[k] - if k == 0 { 0 } else { ends[k - 1] });
        let soon = |k| {
            prefetch(&self.data[places(k)]);
            prefetch(&self.indices[places(k)]);
        };
        each(at.len(), self.width(), soon, |k| {
            data.extend_from_slice(&self.data[places(k)]);
            indices.extend_from_slice(&self.indices[places(k)]);
        });
        kernels::append(y, at, at.get(AHEAD..).unwrap_or(&[]), told);
        Ok(())
    }
}

/// The same in room of their own, each row up to where the next one begins.
#[derive(Debug)]
pub struct GatheredCsr<T, I> {
    data: Vec<T>,
    indices: Vec<I>,
    /// Where rows lay before, and where they end here.
    begins: Vec<usize>,
    ends: Vec<usize>,
    d: usize,
    in_order: bool,
}

impl<T, I> Default for GatheredCsr<T, I> {
    fn default() -> Self {
        let (data, indices, begins, ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        GatheredCsr { data, indices, begins, ends, d: 0, in_order: false }
    }
}

impl<T: Element, I: Index> Table for GatheredCsr<T, I> {
    type Number = T;
    type Row<'a>
        = Few<'a, T, I>
    where
        Self: 'a;

    fn n(&self) -> usize {
        self.ends.len()
    }

    fn d(&self) -> usize {
        self.d
    }

    #[inline]
    fn row(&self, i: usize) -> Few<'_, T, I> {
        let (from, to) = (if i == 0 { 0 } else { self.ends[i - 1] }, self.ends[i]);
        Few { values: &self.data[from..to], at: &self.indices[from..to], in_order: self.in_order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csr_matrix_is_checked() {
        let data = [1.0, 2.0, 3.0];
        let told = |indices: &[i32], indptr: &[i32]| Csr::new(&data, indices, indptr, 4).err().map(|e| e.to_string());
        assert_eq!(told(&[3, 0, 3], &[0, 1, 1, 3]), None);
        assert_eq!(told(&[3, 0, 9], &[0, 1, 2]), None); // what no row has is not looked at
        for (indices, indptr, what) in [
            (&[3, 0, 4][..], &[0, 1, 3][..], "from 0 to 3, got another one at stored number 2"),
            (&[3, 0, -1], &[0, 1, 3], "stored number 2"),
            (&[3, 0, 1], &[0, 2, 1, 3], "falls after row 1"),
            (&[3, 0, 1], &[0, 4], "within its 3 stored numbers"),
            (&[3, 0], &[0, 3], "within its 2 stored numbers"),
            (&[3, 0, 1], &[1, 3], "begins with 0"),
            (&[3, 0, 1], &[], "begins with 0"),
            (&[3, 0, 1], &[0, -1], "within its 3"),
        ] {
            let told = told(indices, indptr).unwrap_or_default();
            assert!(told.contains(what), "{told}");
        }
    }

    #[test]
    fn sparse_rows_do_what_their_full_twins_do() {
        let full = Full(&[0.0, 2.0, 0.0, -1.0][..]);
        let (data, indices, indptr) = ([-1.0, 1.5, 0.5], [3i64, 1, 1], [0i64, 3]);
        let csr = Csr::new(&data, &indices, &indptr, 4).unwrap();
        let row = csr.row(0);
        let w = [0.5, 1.0, -2.0, 4.0];
        assert_eq!((row.dot(&w), row.len()), (full.dot(&w), 3));
        let (mut a, mut b) = (w, w);
        full.add(&mut a, 0.5);
        row.add(&mut b, 0.5);
        assert_eq!(a, b);
        assert_eq!(Norms::of(&a), Norms { square: a.iter().map(|w| w * w).sum(), absolute: 8.0 });
        assert_eq!((full.square(), Grid::new(&w, 2).unwrap().n()), (5.0, 2));
        assert!(Grid::new(&w, 3).is_err());
    }
}
