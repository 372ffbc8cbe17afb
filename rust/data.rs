//! Data: the rows of a problem as borrowed views, however they are stored.

use std::ops::Range;

use crate::error::Error;
pub use crate::kernels::Lines;
use crate::kernels::{self, Columns, Element, Set, Stored, prefetch, set};
use crate::loss::Told;
use crate::sparse::Sparse;

/// Which rows: a run of neighbours, or a stretch of an order, which knows what comes after it.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick<'a> {
    Run(Range<usize>),
    At { order: &'a [u32], stretch: Range<usize> },
}

impl<'a> Pick<'a> {
    /// Just these rows, in this order.
    pub fn at(order: &'a [u32]) -> Self {
        Pick::At { order, stretch: 0..order.len() }
    }

    /// The row in place `at`.
    pub fn row(&self, at: usize) -> usize {
        match self {
            Pick::Run(run) => run.start + at,
            Pick::At { order, stretch } => order[stretch.start + at] as usize,
        }
    }

    /// The first row.
    pub fn first(&self) -> usize {
        self.row(0)
    }

    fn range(&self) -> &Range<usize> {
        match self {
            Pick::Run(range) | Pick::At { stretch: range, .. } => range,
        }
    }

    /// The row that comes `ahead` places after place `at`, where the order tells.
    pub fn soon(&self, at: usize, ahead: usize) -> Option<usize> {
        match self {
            Pick::Run(_) => None,
            Pick::At { order, stretch } => order.get(stretch.start + at + ahead).map(|&i| i as usize),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.range().len()
    }

    /// Whether no row is picked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of them: a stretch of 0..len.
    pub fn part(&self, of: Range<usize>) -> Pick<'a> {
        let from = self.range().start;
        let part = from + of.start..from + of.end;
        match self {
            Pick::Run(_) => Pick::Run(part),
            Pick::At { order, .. } => Pick::At { order, stretch: part },
        }
    }

    /// Blocks of at most `size` rows, in order.
    pub fn blocks(&self, size: usize) -> impl Iterator<Item = Pick<'a>> + use<'a> {
        let (pick, len, mut from) = (self.clone(), self.len(), 0);
        std::iter::from_fn(move || {
            let block = (from < len).then(|| pick.part(from..(from + size).min(len)));
            from += size;
            block
        })
    }

    /// Sets `out` to the picked rows of an array with `width` numbers a row.
    pub fn gather(&self, array: &[f64], width: usize, out: &mut Vec<f64>) {
        out.clear();
        self.append(array, width, out);
    }

    /// Puts them behind what is there already, and asks for those that come soon.
    pub fn append(&self, array: &[f64], width: usize, out: &mut Vec<f64>) {
        match self {
            Pick::Run(run) => out.extend_from_slice(&array[run.start * width..run.end * width]),
            Pick::At { order, stretch } => {
                let (at, soon) = (&order[stretch.clone()], order.get(stretch.start + AHEAD..).unwrap_or(&[]));
                if width == 1 {
                    return kernels::append(array, at, soon, out);
                }
                let row = |&i: &u32| &array[i as usize * width..][..width];
                let soon = soon.iter().map(Some).chain(std::iter::repeat(None));
                for (i, soon) in at.iter().zip(soon) {
                    soon.into_iter().for_each(|soon| prefetch(row(soon)));
                    out.extend_from_slice(row(i));
                }
            }
        }
    }
}

/// How many rows ahead memory is asked for, where rows are short; long ones fill the queue sooner.
const AHEAD: usize = 32;
/// Bytes that stay in the caches.
const NEAR_BYTES: usize = 1 << 18;
/// Numbers that are asked for ahead, where rows are long.
const AHEAD_NUMBERS: usize = 1 << 14;

/// Rows that can be multiplied from both sides. `w` is (outputs, d), `raw` and `slope` are (rows, outputs), row-major.
pub trait Rows: Sync {
    /// Number of features.
    fn d(&self) -> usize;

    /// The rows as such that hold few features each, if they are stored so.
    fn sparse(&self) -> Option<&Sparse<'_>> {
        None
    }

    /// Whether the numbers of a row lie in many places.
    fn apart(&self) -> bool {
        false
    }

    /// The picked rows, which are whole batches, in columns of eight, if they lie so.
    fn turned(&self, _pick: &Pick) -> Option<Columns<'_>> {
        None
    }

    /// The picked rows one after the other, or where they lie; `room` is for what has to be brought together.
    fn block<'s>(&'s self, pick: &'s Pick, room: &'s mut Vec<f64>) -> Lines<'s>;

    /// The picked rows where they lie, if that is as numbers of half the length.
    fn short<'s>(&'s self, _pick: &'s Pick) -> Option<Lines<'s, f32>> {
        None
    }

    /// All rows where they lie, if they can be worked on there.
    fn whole(&self) -> Option<Stored<'_>> {
        None
    }

    /// What `block` answered; `room` is as that left it.
    fn again<'s>(&'s self, pick: &'s Pick, room: &'s [f64]) -> Lines<'s>;

    /// Copies the picked rows, each to the beginning of `stride` numbers of `out`.
    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]);

    /// raw_ik = x_i . w_k + b_k; `b` may be empty. `room` is for what has to be brought together.
    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>);

    /// grad_k += sum_i slope_ik x_i; `room` is as `forward` left it over the same rows.
    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64], room: &[f64]);

    /// |x_i|^2
    fn square(&self, i: usize) -> f64;

    /// Asks for the first rows of some, as `fill` does for later ones.
    fn ask(&self, _pick: &Pick) {}
}

/// Coordinates z_j = (x_j - mean_j) inverse_j; empty for x itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standard<'a> {
    pub mean: &'a [f64],
    pub inverse: &'a [f64],
}

/// A full table, by rows or by columns, seen in coordinates of its own.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a, T> {
    values: &'a [T],
    d: usize,
    /// Numbers from row to row, where they are one after the other.
    stride: usize,
    by_columns: bool,
    standard: Standard<'a>,
    set: Set,
}

impl<'a, T: Element> Dense<'a, T> {
    /// `values` is (n, d), row-major.
    ///
    /// # Errors
    /// If the length is no multiple of `d`, or `d` is 0.
    pub fn new(values: &'a [T], d: usize) -> Result<Self, Error> {
        Self::every(values, d, d)
    }

    /// With a row every `stride` numbers, of which the first `d` count.
    ///
    /// # Errors
    /// If the length is no multiple of `stride`, or `d` is 0 or more.
    pub fn every(values: &'a [T], d: usize, stride: usize) -> Result<Self, Error> {
        if d == 0 || d > stride || !values.len().is_multiple_of(stride) {
            return Err(Error::argument(
                "X",
                format!("{} values for {d} columns", values.len()),
                "an (n, d) array with d >= 1",
            ));
        }
        Ok(Dense { values, d, stride, by_columns: false, standard: Standard::default(), set: set()? })
    }

    /// The same values, column-major.
    pub fn by_columns(self) -> Self {
        Dense { by_columns: true, ..self }
    }

    /// In other coordinates.
    ///
    /// # Errors
    /// If these are not d, or none.
    pub fn standard(self, standard: Standard<'a>) -> Result<Self, Error> {
        let lengths = [standard.mean.len(), standard.inverse.len()];
        if lengths != [self.d; 2] && lengths != [0; 2] {
            return Err(Error::argument("mean and scale", format!("{lengths:?} numbers"), "one a feature"));
        }
        Ok(Dense { standard, ..self })
    }

    /// With the kernels of another instruction set.
    pub fn on(self, set: Set) -> Self {
        Dense { set, ..self }
    }

    fn n(&self) -> usize {
        self.values.len() / self.stride
    }

    /// The picked rows where they lie, if they can be worked on there; `values` are all.
    #[inline]
    fn lines<'s, S>(&'s self, values: Option<&'s [S]>, pick: &'s Pick) -> Option<Lines<'s, S>> {
        let values = values.filter(|_| self.standard.mean.is_empty() && !self.by_columns)?;
        match pick {
            Pick::Run(run) => {
                let (values, beyond) = values[run.start * self.stride..].split_at(run.len() * self.stride);
                Some(Lines::Together { values, stride: self.stride, beyond: beyond.len() })
            }
            Pick::At { order, stretch } => Some(Lines::Apart {
                values,
                stride: self.stride,
                at: &order[stretch.clone()],
                soon: order.get(stretch.start + self.ahead()..).filter(|_| !self.is_near()).unwrap_or(&[]),
            }),
        }
    }

    /// Whether all of it stays in the caches, so that nothing needs to be asked for.
    fn is_near(&self) -> bool {
        size_of_val(self.values) <= NEAR_BYTES
    }

    fn ahead(&self) -> usize {
        (AHEAD_NUMBERS / self.d).clamp(4, AHEAD)
    }

    /// Coordinate j of what is stored as `x`.
    #[inline(always)]
    fn seen(&self, j: usize, x: T) -> f64 {
        match self.standard.mean.get(j) {
            Some(mean) => (x.into() - mean) * self.standard.inverse[j],
            None => x.into(),
        }
    }

    fn fill_by_columns(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        for (j, column) in self.values.chunks_exact(self.n()).enumerate() {
            let cells = out[j..].iter_mut().step_by(stride);
            match pick {
                Pick::Run(run) => cells.zip(&column[run.clone()]).for_each(|(out, &x)| *out = self.seen(j, x)),
                Pick::At { order, stretch } => {
                    cells.zip(&order[stretch.clone()]).for_each(|(out, &i)| *out = self.seen(j, column[i as usize]));
                }
            }
        }
    }

    /// Copies a row in coordinates of its own.
    fn copy(&self, x: &[T], out: &mut [f64]) {
        for (((out, &x), mean), inverse) in out.iter_mut().zip(x).zip(self.standard.mean).zip(self.standard.inverse) {
            *out = (x.into() - mean) * inverse;
        }
    }
}

impl<T: Element> Rows for Dense<'_, T> {
    fn d(&self) -> usize {
        self.d
    }

    fn apart(&self) -> bool {
        self.by_columns
    }

    fn block<'s>(&'s self, pick: &'s Pick, room: &'s mut Vec<f64>) -> Lines<'s> {
        self.lines(T::wide(self.values), pick).unwrap_or_else(|| {
            room.resize(pick.len() * self.d, 0.0);
            self.fill(pick, self.d, room);
            Lines::Together { values: room, stride: self.d, beyond: 0 }
        })
    }

    fn short<'s>(&'s self, pick: &'s Pick) -> Option<Lines<'s, f32>> {
        self.lines(T::half(self.values), pick)
    }

    fn whole(&self) -> Option<Stored<'_>> {
        fn all<S>(values: &[S], stride: usize) -> Lines<'_, S> {
            Lines::Together { values, stride, beyond: 0 }
        }
        if self.by_columns || !self.standard.mean.is_empty() {
            return None;
        }
        let wide = T::wide(self.values).map(|values| Stored::Wide(all(values, self.stride)));
        wide.or_else(|| T::half(self.values).map(|values| Stored::Short(all(values, self.stride))))
    }

    fn again<'s>(&'s self, pick: &'s Pick, room: &'s [f64]) -> Lines<'s> {
        self.lines(T::wide(self.values), pick).unwrap_or(Lines::Together { values: room, stride: self.d, beyond: 0 })
    }

    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        let (d, every) = (self.d, self.stride);
        if self.by_columns {
            return self.fill_by_columns(pick, stride, out);
        }
        if self.standard.mean.is_empty() {
            return match (self.lines(T::wide(self.values), pick), self.lines(T::half(self.values), pick)) {
                (Some(lines), _) => kernels::gather(self.set, lines, d, stride, out),
                (_, Some(lines)) => kernels::gather(self.set, lines, d, stride, out),
                _ => {}
            };
        }
        let rows = out.chunks_mut(stride);
        match pick {
            Pick::Run(run) => {
                let values = self.values[run.start * every..run.end * every].chunks_exact(every);
                rows.zip(values).for_each(|(out, x)| self.copy(x, out));
            }
            Pick::At { order, stretch } => {
                let soon = order.get(stretch.start + self.ahead()..).unwrap_or(&[]);
                for (at, (out, &i)) in rows.zip(&order[stretch.clone()]).enumerate() {
                    if let Some(&soon) = soon.get(at) {
                        prefetch(&self.values[soon as usize * every..][..d]);
                    }
                    self.copy(&self.values[i as usize * every..][..d], out);
                }
            }
        }
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>) {
        kernels::forward(self.set, self.block(pick, room), self.d, w, b, raw);
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64], room: &[f64]) {
        kernels::backward(self.set, self.again(pick, room), self.d, slope, grad);
    }

    fn ask(&self, pick: &Pick) {
        if !self.by_columns {
            let rows = (0..pick.len().min(self.ahead())).map(|at| pick.row(at));
            rows.for_each(|i| prefetch(&self.values[i * self.stride..][..self.d]));
        }
    }

    fn square(&self, i: usize) -> f64 {
        let (n, d) = (self.n(), self.d);
        let stored = |j| if self.by_columns { self.values[j * n + i] } else { self.values[i * self.stride + j] };
        (0..d).map(|j| self.seen(j, stored(j)).powi(2)).sum()
    }
}

/// Filled in block by block, where somebody asks for full rows.
impl Rows for Sparse<'_> {
    fn d(&self) -> usize {
        Sparse::d(self)
    }

    fn sparse(&self) -> Option<&Sparse<'_>> {
        Some(self)
    }

    fn block<'s>(&'s self, pick: &'s Pick, room: &'s mut Vec<f64>) -> Lines<'s> {
        room.resize(pick.len() * self.d(), 0.0);
        self.fill(pick, Sparse::d(self), room);
        self.again(pick, room)
    }

    fn again<'s>(&'s self, _pick: &'s Pick, room: &'s [f64]) -> Lines<'s> {
        Lines::Together { values: room, stride: self.d(), beyond: 0 }
    }

    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        out.chunks_mut(stride).enumerate().take(pick.len()).for_each(|(at, out)| self.write(pick.row(at), out));
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>) {
        let (d, outputs, mut offsets) = (self.d(), raw.len() / pick.len(), b.to_vec());
        offsets.resize(outputs, 0.0);
        if self.is_standard() {
            self.see(w, room, &mut offsets);
        }
        let w = if self.is_standard() { &room[..] } else { w };
        for (at, raw) in raw.chunks_exact_mut(outputs).enumerate() {
            for ((raw, w), offset) in raw.iter_mut().zip(w.chunks_exact(d)).zip(&offsets) {
                *raw = self.dot(pick.row(at), w) + offset;
            }
        }
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64], _room: &[f64]) {
        let outputs = slope.len() / pick.len();
        let (mut own, mut slopes) = (vec![0.0; grad.len()], vec![0.0; outputs]);
        for (at, slope) in slope.chunks_exact(outputs).enumerate() {
            for ((own, sum), slope) in own.chunks_exact_mut(self.d()).zip(&mut slopes).zip(slope) {
                self.add(pick.row(at), *slope, own);
                *sum += slope;
            }
        }
        if self.is_standard() {
            self.turn(&mut own, &slopes);
        }
        grad.iter_mut().zip(&own).for_each(|(grad, own)| *grad += own);
    }

    fn square(&self, i: usize) -> f64 {
        Sparse::square(self, i)
    }
}

/// Numbers of a block that should stay in the first-level cache between the two passes over it.
const BLOCK: usize = 2048;

/// Multiplications of a block that bound the time between two looks at the clock, where there are many outputs.
const WORK: usize = 1 << 24;

/// Rows of a block, by eights where they may be; whatever their layout, so that this changes no bit.
pub fn block_size(d: usize, outputs: usize) -> usize {
    (BLOCK / (d + outputs)).clamp(32, 256).next_multiple_of(8).min(WORK / (d * outputs).max(1)).max(1)
}

/// Rows, targets and weights.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    pub rows: &'a dyn Rows,
    /// (n, told), row-major
    pub y: &'a [f64],
    /// Targets a row: one an output, or one alone where the outputs are of one loss.
    pub told: usize,
    pub outputs: usize,
    /// (n), or empty for all ones
    pub weight: &'a [f64],
    pub n: usize,
    /// Number of features.
    pub d: usize,
    pub mean_weight: f64,
    /// Rows that are worked on together.
    pub block: usize,
}

impl<'a> Problem<'a> {
    /// # Errors
    /// If lengths differ, there is no row, or weights are negative, not finite or all zero.
    pub fn new(rows: &'a dyn Rows, n: usize, y: &'a [f64], outputs: usize, weight: &'a [f64]) -> Result<Self, Error> {
        if n == 0 {
            return Err(Error::argument("X", "0 rows", "an array with at least one row"));
        }
        if outputs == 0 || Some(y.len()) != n.checked_mul(outputs) {
            return Err(Error::argument("y", format!("{} numbers for {n} rows", y.len()), "as long as X has rows"));
        }
        if !weight.is_empty() && weight.len() != n {
            return Err(Error::argument("sample_weight", format!("{} numbers", weight.len()), format!("{n} numbers")));
        }
        let mean_weight = if weight.is_empty() { 1.0 } else { weight.iter().sum::<f64>() / n as f64 };
        let sound = weight.iter().all(|&s| s >= 0.0) && mean_weight > 0.0 && mean_weight.is_finite();
        if !sound {
            return Err(Error::argument("sample_weight", "others", "finite, >= 0 and not all 0, with a finite sum"));
        }
        let (d, told) = (rows.d(), outputs);
        Ok(Problem { rows, y, told, outputs, weight, n, d, mean_weight, block: block_size(d, outputs) })
    }

    /// The same targets, one a row, for a loss that sees so many outputs together.
    ///
    /// # Errors
    /// If there are no outputs, or more targets than one a row.
    pub fn coupled(self, outputs: usize) -> Result<Self, Error> {
        if outputs == 0 || self.told != 1 {
            let given = format!("{} targets a row for {outputs} outputs", self.told);
            return Err(Error::argument("y", given, "one target a row for at least one output"));
        }
        Ok(Problem { outputs, block: block_size(self.d, outputs), ..self })
    }

    /// Targets and weights (none if all are 1) of the picked rows; `y` and `weight` are for what has to be brought
    /// together.
    pub fn targets<'s>(&'s self, pick: &Pick, y: &'s mut Vec<f64>, weight: &'s mut Vec<f64>) -> Told<'s> {
        if let Pick::Run(run) = pick {
            let weight = self.weight.get(run.clone()).unwrap_or(&[]);
            return Told { y: &self.y[run.start * self.told..run.end * self.told], weight };
        }
        pick.gather(self.y, self.told, y);
        weight.clear(); // of another problem, perhaps
        if !self.weight.is_empty() {
            pick.gather(self.weight, 1, weight);
        }
        Told { y, weight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_every_row_once_in_order() {
        let (order, array): (Vec<u32>, Vec<f64>) = ([4, 0, 3, 3, 1].to_vec(), (0..14).map(f64::from).collect());
        let (mut whole, mut part) = (Vec::new(), Vec::new());
        for pick in [Pick::Run(2..7), Pick::at(&order), Pick::At { order: &order, stretch: 1..4 }] {
            pick.gather(&array, 2, &mut whole);
            assert_eq!(whole.len(), 2 * pick.len());
            for size in 1..7 {
                let mut joined = Vec::new();
                for block in pick.blocks(size) {
                    assert!(block.len() <= size && !block.is_empty());
                    block.gather(&array, 2, &mut part);
                    joined.extend_from_slice(&part);
                }
                assert_eq!(joined, whole);
            }
        }
        assert_eq!(whole, [0.0, 1.0, 6.0, 7.0, 6.0, 7.0]);
    }

    #[test]
    fn forward_and_backward_are_products_with_the_matrix_and_its_transpose() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = Dense::new(&values, 2).unwrap();
        let (w, b) = ([1.0, -1.0, 0.5, 2.0], [10.0, 20.0]);
        let (mut raw, mut room) = ([0.0; 4], Vec::new());
        rows.forward(&Pick::at(&[2, 0]), &w, &b, &mut raw, &mut room);
        assert_eq!(raw, [9.0, 34.5, 9.0, 24.5]);
        let mut grad = [0.0; 4];
        rows.forward(&Pick::Run(1..3), &w, &b, &mut raw, &mut room);
        rows.backward(&Pick::Run(1..3), &[1.0, 0.0, 2.0, 1.0], &mut grad, &room);
        assert_eq!(grad, [3.0 + 10.0, 4.0 + 12.0, 5.0, 6.0]);
    }

    #[test]
    fn unsound_problems_are_refused() {
        let rows = Dense::new(&[1.0, 2.0], 1).unwrap();
        let refused = |n, y: &[f64], outputs, weight: &[f64]| Problem::new(&rows, n, y, outputs, weight).is_err();
        assert!(refused(0, &[], 1, &[]));
        assert!(refused(2, &[1.0], 1, &[]));
        assert!(refused(2, &[1.0, 1.0], 1, &[1.0]));
        assert!(refused(2, &[1.0, 1.0], 1, &[0.0, 0.0]));
        assert!(refused(2, &[1.0, 1.0], 1, &[2.0, -1.0]));
        assert!(refused(2, &[1.0, 1.0], 1, &[f64::NAN, 1.0]));
        assert!(refused(2, &[1.0, 1.0], 1, &[f64::INFINITY, 1.0]));
        assert!(!refused(2, &[1.0, 1.0], 1, &[0.0, 1.0]));
        assert!(Dense::new(&[1.0], 0).is_err() && Dense::new(&[1.0], 2).is_err());
        let coupled = |outputs| Problem::new(&rows, 2, &[0.0, 1.0], 1, &[]).unwrap().coupled(outputs).is_err();
        assert!(coupled(0) && !coupled(3));
        assert!(Problem::new(&rows, 2, &[0.0; 4], 2, &[]).unwrap().coupled(2).is_err());
    }
}
