//! Sparse: rows that hold few features each (CSR), and their products. What a row lacks is never visited.

use std::ops::Range;

use crate::error::{Error, zeros};
use crate::kernels::{Element, prefetch};
use crate::observe::Watch;
use crate::row::{Csr, Index, Row, Table};

/// Numbers as they are stored.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    Narrow(&'a [f32]),
    Wide(&'a [f64]),
}

/// Columns, or where rows end, as they are stored.
#[derive(Debug, Clone, Copy)]
pub enum Places<'a> {
    Short(&'a [i32]),
    Long(&'a [i64]),
}

impl Places<'_> {
    #[inline(always)]
    fn get(self, k: usize) -> usize {
        match self {
            Places::Short(places) => places[k].place(),
            Places::Long(places) => places[k].place(),
        }
    }

    fn len(self) -> usize {
        match self {
            Places::Short(places) => places.len(),
            Places::Long(places) => places.len(),
        }
    }
}

/// Rows that `tidy` has checked: row i has the features `columns[k]`, each once and in order, with `values[k]`, k from
/// `ends[i]` to `ends[i + 1]`. They may be seen in coordinates z_j = (x_j - mean_j) inverse_j, both empty for x itself:
/// then most z_j are -mean_j inverse_j, and products are worked out without visiting these.
#[derive(Debug, Clone, Copy)]
pub struct Sparse<'a> {
    values: Values<'a>,
    columns: Places<'a>,
    ends: Places<'a>,
    d: usize,
    pub mean: &'a [f64],
    pub inverse: &'a [f64],
    /// |z|^2 of a row that holds nothing.
    nothing: f64,
}

impl<'a> Sparse<'a> {
    /// # Errors
    /// If there is no row or no feature, or the arrays or the coordinates don't fit together.
    pub fn new(
        values: Values<'a>,
        columns: Places<'a>,
        ends: Places<'a>,
        d: usize,
        (mean, inverse): (&'a [f64], &'a [f64]),
    ) -> Result<Self, Error> {
        let stored = match values {
            Values::Narrow(values) => values.len(),
            Values::Wide(values) => values.len(),
        };
        let plain = mean.is_empty() && inverse.is_empty();
        if d == 0 || ends.len() < 2 || stored != columns.len() || !(plain || [mean.len(), inverse.len()] == [d; 2]) {
            return Err(Error::argument("X", "arrays of other lengths", "a checked CSR matrix"));
        }
        let nothing = mean.iter().zip(inverse).map(|(mean, inverse)| (mean * inverse) * (mean * inverse)).sum();
        Ok(Sparse { values, columns, ends, d, mean, inverse, nothing })
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.ends.len() - 1
    }

    /// Number of features.
    pub fn d(&self) -> usize {
        self.d
    }

    /// Whether they are seen in other coordinates.
    pub fn is_standard(&self) -> bool {
        !self.inverse.is_empty()
    }

    /// How many numbers a row holds in the mean, rounded up.
    pub fn width(&self) -> usize {
        self.columns.len().div_ceil(self.n()).max(1)
    }

    /// How many numbers row `i` holds.
    #[inline]
    pub fn len(&self, i: usize) -> usize {
        self.stretch(i).len()
    }

    /// Whether row `i` holds nothing.
    pub fn is_empty(&self, i: usize) -> bool {
        self.len(i) == 0
    }

    #[inline(always)]
    fn stretch(&self, i: usize) -> Range<usize> {
        self.ends.get(i)..self.ends.get(i + 1)
    }

    /// Asks for the memory of row `i` before it is needed.
    #[inline]
    pub fn soon(&self, i: usize) {
        let stretch = self.stretch(i);
        match self.values {
            Values::Narrow(values) => prefetch(&values[stretch.clone()]),
            Values::Wide(values) => prefetch(&values[stretch.clone()]),
        }
        match self.columns {
            Places::Short(places) => prefetch(&places[stretch]),
            Places::Long(places) => prefetch(&places[stretch]),
        }
    }

    /// The features of row `i` in turn, with what is stored.
    #[inline(always)]
    pub fn each(&self, i: usize, f: impl FnMut(usize, f64)) {
        let at = self.stretch(i);
        match (self.values, self.columns) {
            (Values::Narrow(x), Places::Short(j)) => each(&x[at.clone()], &j[at], f),
            (Values::Narrow(x), Places::Long(j)) => each(&x[at.clone()], &j[at], f),
            (Values::Wide(x), Places::Short(j)) => each(&x[at.clone()], &j[at], f),
            (Values::Wide(x), Places::Long(j)) => each(&x[at.clone()], &j[at], f),
        }
    }

    /// sum_j x_j w_j over what is stored.
    #[inline]
    pub fn dot(&self, i: usize, w: &[f64]) -> f64 {
        let at = self.stretch(i);
        match (self.values, self.columns) {
            (Values::Narrow(x), Places::Short(j)) => dot(&x[at.clone()], &j[at], w),
            (Values::Narrow(x), Places::Long(j)) => dot(&x[at.clone()], &j[at], w),
            (Values::Wide(x), Places::Short(j)) => dot(&x[at.clone()], &j[at], w),
            (Values::Wide(x), Places::Long(j)) => dot(&x[at.clone()], &j[at], w),
        }
    }

    /// w_j += c x_j over what is stored.
    #[inline]
    pub fn add(&self, i: usize, c: f64, w: &mut [f64]) {
        self.each(i, |j, x| w[j] += c * x);
    }

    /// Sets `seen` to what stored numbers are to be multiplied with instead of the coefficients `w` (outputs, d), and
    /// adds to `offsets` what then is missing: z . w = x . (w inverse) - mean . (w inverse).
    pub fn see(&self, w: &[f64], seen: &mut Vec<f64>, offsets: &mut [f64]) {
        seen.clear();
        for (w, offset) in w.chunks_exact(self.d).zip(offsets) {
            let from = seen.len();
            seen.extend(w.iter().zip(self.inverse).map(|(w, inverse)| w * inverse));
            *offset -= seen[from..].iter().zip(self.mean).map(|(w, mean)| w * mean).sum::<f64>();
        }
    }

    /// Makes `grad` (outputs, d), sums of slopes times what is stored, the same of coordinates: sum_i slope_i z_i =
    /// inverse (sum_i slope_i x_i - mean sum_i slope_i).
    pub fn turn(&self, grad: &mut [f64], slopes: &[f64]) {
        for (grad, slope) in grad.chunks_exact_mut(self.d).zip(slopes) {
            for ((grad, inverse), mean) in grad.iter_mut().zip(self.inverse).zip(self.mean) {
                *grad = (*grad - mean * slope) * inverse;
            }
        }
    }

    /// |z_i|^2
    pub fn square(&self, i: usize) -> f64 {
        let mut sum = self.nothing;
        if !self.is_standard() {
            self.each(i, |_, x| sum += x * x);
            return sum;
        }
        let absent = |j: usize| self.mean[j] * self.inverse[j];
        self.each(i, |j, x| {
            let x = x * self.inverse[j];
            sum += x * (x - 2.0 * absent(j));
        });
        sum
    }

    /// Writes z_i to the first d numbers of `out`.
    pub fn write(&self, i: usize, out: &mut [f64]) {
        let out = &mut out[..self.d];
        if !self.is_standard() {
            out.fill(0.0);
            return self.each(i, |j, x| out[j] = x);
        }
        for ((out, mean), inverse) in out.iter_mut().zip(self.mean).zip(self.inverse) {
            *out = -mean * inverse;
        }
        self.each(i, |j, x| out[j] = (x - self.mean[j]) * self.inverse[j]);
    }

    /// Of each column from `origin`: the mean over rows of such weights, none for all ones and `whole` together; the
    /// sum of s_i (z_i - mean)^2; and whether any z_i is not the origin. Two passes, so that an offset costs few digits.
    ///
    /// # Errors
    /// What `watch` answers, and lack of memory.
    pub fn moments(
        &self,
        weight: &[f64],
        whole: f64,
        origin: &[f64],
        watch: &mut Watch,
    ) -> Result<([Vec<f64>; 2], Vec<bool>), Error> {
        let (n, d) = (self.n(), self.d);
        let z = |j: usize, x: f64| if self.is_standard() { (x - self.mean[j]) * self.inverse[j] } else { x };
        let absent: Vec<f64> = (0..d).map(|j| z(j, 0.0) - origin[j]).collect();
        let weight_of = |i: usize| weight.get(i).copied().unwrap_or(1.0);
        let counted = (0..n).filter(|&i| weight_of(i) > 0.0).count();
        let (mut mean, mut squares, mut varies) = (zeros(d, "means")?, zeros(d, "squares of columns")?, vec![false; d]);
        let (mut present, mut rows) = (zeros(d, "weights of columns")?, vec![0; d]);
        for i in (0..n).filter(|&i| weight_of(i) > 0.0) {
            let s = weight_of(i);
            self.each(i, |j, x| {
                let away = z(j, x) - origin[j];
                mean[j] += s * away;
                present[j] += s;
                rows[j] += 1;
                varies[j] |= away != 0.0;
            });
            watch.tick(self.len(i))?;
        }
        for j in 0..d {
            present[j] = if rows[j] < counted { (whole - present[j]).max(0.0) } else { 0.0 }; // of rows without it
            mean[j] = (mean[j] + present[j] * absent[j]) / whole;
            squares[j] = present[j] * (absent[j] - mean[j]) * (absent[j] - mean[j]);
            if rows[j] < counted {
                varies[j] |= absent[j] != 0.0;
            }
        }
        for i in (0..n).filter(|&i| weight_of(i) > 0.0) {
            let s = weight_of(i);
            self.each(i, |j, x| {
                let away = z(j, x) - origin[j] - mean[j];
                squares[j] += s * away * away;
            });
            watch.tick(self.len(i))?;
        }
        Ok(([mean, squares], varies))
    }
}

#[inline(always)]
fn each<T: Copy + Into<f64>, I: Index>(x: &[T], at: &[I], mut f: impl FnMut(usize, f64)) {
    for (x, j) in x.iter().zip(at) {
        f(j.place(), (*x).into());
    }
}

/// In four sums, as an addition takes longer than the next number.
#[inline]
fn dot<T: Copy + Into<f64>, I: Index>(x: &[T], at: &[I], w: &[f64]) -> f64 {
    let ((fours, rest), (places, others)) = (x.as_chunks::<4>(), at.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (x, at) in fours.iter().zip(places) {
        for ((sum, x), j) in sums.iter_mut().zip(x).zip(at) {
            *sum += (*x).into() * w[j.place()];
        }
    }
    for ((sum, x), j) in sums.iter_mut().zip(rest).zip(others) {
        *sum += (*x).into() * w[j.place()];
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// The arrays of a CSR matrix of one's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Own<T, I> {
    pub data: Vec<T>,
    pub indices: Vec<I>,
    pub indptr: Vec<I>,
}

/// Checks rows of `d` features; where a row's columns repeat or are out of order a copy in order, in which what repeats
/// is summed as it comes.
///
/// # Errors
/// If `indptr` is empty, begins anywhere but at 0, falls, or ends beyond the data, or an index is not below `d`.
pub fn tidy<T: Element, I: Index + TryFrom<usize>>(
    data: &[T],
    indices: &[I],
    indptr: &[I],
    d: usize,
) -> Result<Option<Own<T, I>>, Error> {
    let rows = Csr::new(data, indices, indptr, d)?;
    let in_order = (0..rows.n()).all(|i| {
        let (mut next, mut in_order) = (0, true);
        rows.row(i).each(|j, _| {
            in_order &= j >= next;
            next = j + 1;
        });
        in_order
    });
    if in_order {
        return Ok(None);
    }
    let (mut own, mut row) = (Own { data: Vec::new(), indices: Vec::new(), indptr: vec![place(0)?] }, Vec::new());
    for i in 0..rows.n() {
        row.clear();
        rows.row(i).each(|j, x| row.push((j, x)));
        row.sort_by_key(|&(j, _)| j); // keeps the order of what repeats
        for same in row.chunk_by(|a, b| a.0 == b.0) {
            let sum = same[1..].iter().fold(same[0].1, |sum, (_, x)| T::narrow(sum.into() + (*x).into()));
            own.data.push(sum);
            own.indices.push(place(same[0].0)?);
        }
        own.indptr.push(place(own.data.len())?);
    }
    Ok(Some(own))
}

/// The rows of a matrix that is stored by columns (CSC), which may hold as many as `n`; columns come in order.
///
/// # Errors
/// As `tidy`, of the columns.
pub fn transposed<T: Element, I: Index + TryFrom<usize>>(
    data: &[T],
    indices: &[I],
    indptr: &[I],
    n: usize,
) -> Result<Own<T, I>, Error> {
    let columns = Csr::new(data, indices, indptr, n)?;
    let mut next: Vec<usize> = Vec::new(); // of rows that are told to be more than there is memory
    next.try_reserve_exact(n.saturating_add(1))
        .map_err(|_| Error::Memory { what: "rows", bytes: n.saturating_mul(8) })?;
    next.resize(n + 1, 0);
    for j in 0..columns.n() {
        columns.row(j).each(|i, _| next[i + 1] += 1);
    }
    for i in 0..n {
        next[i + 1] += next[i];
    }
    let indptr = next.iter().map(|&k| place(k)).collect::<Result<Vec<I>, Error>>()?;
    let stored = next[n];
    let mut own = Own { data: vec![T::narrow(0.0); stored], indices: vec![place(0)?; stored], indptr };
    for j in 0..columns.n() {
        let column = place(j)?;
        columns.row(j).each(|i, x| {
            own.data[next[i]] = x;
            own.indices[next[i]] = column;
            next[i] += 1;
        });
    }
    Ok(own)
}

fn place<I: TryFrom<usize>>(at: usize) -> Result<I, Error> {
    I::try_from(at).map_err(|_| Error::argument("X", at, "a sparse matrix whose indices hold its shape"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: [f64; 5] = [2.0, -1.0, 3.0, 0.5, 4.0];

    #[test]
    fn columns_are_put_in_order_and_summed() {
        assert_eq!(tidy(&DATA, &[0, 2, 3, 0, 1], &[0, 2, 2, 3, 5], 4), Ok(None::<Own<f64, i32>>));
        let own = tidy(&DATA, &[2i64, 0, 3, 1, 1], &[0, 2, 2, 3, 5], 4).unwrap().unwrap();
        assert_eq!(own.data, [-1.0, 2.0, 3.0, 4.5]);
        assert_eq!((own.indices, own.indptr), (vec![0, 2, 3, 1], vec![0, 2, 2, 3, 4]));
        assert!(tidy(&DATA, &[0, 2, 4, 0, 1], &[0, 2, 2, 3, 5], 4).is_err());
    }

    #[test]
    fn rows_of_columns() {
        // (3, 2): column 0 has rows 2, 0; column 1 rows 1, 2 twice
        let own = transposed(&DATA, &[2i32, 0, 1, 2, 2], &[0, 2, 5], 3).unwrap();
        assert_eq!((own.indptr, own.indices), (vec![0, 1, 2, 5], vec![0, 1, 0, 1, 1]));
        assert_eq!(own.data, [-1.0, 3.0, 2.0, 0.5, 4.0]);
        assert!(transposed(&DATA, &[2i32, 0, 1, 2, 2], &[0, 2, 5], 2).is_err());
    }

    #[test]
    fn products_are_those_of_full_rows_in_any_coordinates() {
        let (at, ends) = ([0, 2, 1, 0, 3], [0i64, 2, 2, 3, 5]);
        let (mean, inverse) = ([0.5, -1.0, 2.0, 0.0], [2.0, 1.0, 0.5, 3.0]);
        let w = [1.0, -2.0, 0.5, 3.0, 0.1, 0.2, 0.3, 0.4];
        for standard in [(&[][..], &[][..]), (&mean[..], &inverse[..])] {
            let rows = Sparse::new(Values::Wide(&DATA), Places::Short(&at), Places::Long(&ends), 4, standard).unwrap();
            let (mut z, mut grad, mut slopes) = ([0.0; 4], [0.0; 4], [0.0]);
            let mut expected = [0.0; 4];
            for i in 0..4 {
                rows.write(i, &mut z);
                assert!((rows.square(i) - z.iter().map(|z| z * z).sum::<f64>()).abs() <= 1e-12);
                let (mut seen, mut offsets) = (w.to_vec(), [0.0; 2]);
                if rows.is_standard() {
                    rows.see(&w, &mut seen, &mut offsets);
                }
                for (k, offset) in offsets.iter().enumerate() {
                    let full: f64 = z.iter().zip(&w[4 * k..]).map(|(z, w)| z * w).sum();
                    assert!((rows.dot(i, &seen[4 * k..]) + offset - full).abs() <= 1e-12);
                }
                let slope = 1.0 + i as f64;
                rows.add(i, slope, &mut grad);
                slopes[0] += slope;
                expected.iter_mut().zip(z).for_each(|(sum, z)| *sum += slope * z);
            }
            rows.turn(&mut grad, &slopes);
            if rows.is_standard() {
                assert!(grad.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-12), "{grad:?} {expected:?}");
            }
        }
        assert!(
            Sparse::new(Values::Wide(&DATA), Places::Short(&at), Places::Long(&ends), 4, (&mean[..2], &inverse))
                .is_err()
        );
    }
}
