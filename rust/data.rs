//! Data: the rows of a problem as borrowed views, however they are stored.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::{Element, axpy, dot, prefetch};

/// Which rows: a run of neighbours, or a stretch of an order, which knows what comes after it.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick<'a> {
    Run(Range<usize>),
    At { order: &'a [usize], stretch: Range<usize> },
}

impl<'a> Pick<'a> {
    /// Just these rows, in this order.
    pub fn at(order: &'a [usize]) -> Self {
        Pick::At { order, stretch: 0..order.len() }
    }

    /// The first row.
    pub fn first(&self) -> usize {
        match self {
            Pick::Run(run) => run.start,
            Pick::At { order, stretch } => order[stretch.start],
        }
    }

    fn range(&self) -> &Range<usize> {
        match self {
            Pick::Run(range) | Pick::At { stretch: range, .. } => range,
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

    /// Blocks of at most `size` rows, in order.
    pub fn blocks(&self, size: usize) -> impl Iterator<Item = Pick<'a>> + use<'a> {
        let (pick, range) = (self.clone(), self.range().clone());
        range.clone().step_by(size).map(move |from| {
            let part = from..(from + size).min(range.end);
            match pick {
                Pick::Run(_) => Pick::Run(part),
                Pick::At { order, .. } => Pick::At { order, stretch: part },
            }
        })
    }

    /// Copies the picked rows of an array with `width` numbers a row, and asks for those that come soon.
    pub fn gather(&self, array: &[f64], width: usize, out: &mut Vec<f64>) {
        out.clear();
        match self {
            Pick::Run(run) => out.extend_from_slice(&array[run.start * width..run.end * width]),
            Pick::At { order, stretch } => {
                for (at, &i) in stretch.clone().zip(&order[stretch.clone()]) {
                    if let Some(&soon) = order.get(at + AHEAD) {
                        prefetch(&array[soon * width..][..width]);
                    }
                    out.extend_from_slice(&array[i * width..][..width]);
                }
            }
        }
    }
}

/// How many rows ahead memory is asked for, where rows are short; long ones fill the queue sooner.
const AHEAD: usize = 32;
/// Numbers that are asked for ahead, where rows are long.
const AHEAD_NUMBERS: usize = 4096;

/// Rows that can be multiplied from both sides. `w` is (outputs, d), `raw` and `slope` are (rows, outputs), row-major.
pub trait Rows: Sync {
    /// Number of features.
    fn d(&self) -> usize;

    /// raw_ik = x_i . w_k + b_k; `b` may be empty.
    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64]);

    /// grad_k += sum_i slope_ik x_i
    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64]);

    /// |x_i|^2
    fn square(&self, i: usize) -> f64;
}

/// Rows one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a, T> {
    values: &'a [T],
    d: usize,
}

impl<'a, T: Element> Dense<'a, T> {
    /// `values` is (n, d), row-major.
    ///
    /// # Errors
    /// If the length is no multiple of `d`, or `d` is 0.
    pub fn new(values: &'a [T], d: usize) -> Result<Self, Error> {
        if d == 0 || !values.len().is_multiple_of(d) {
            return Err(Error::argument(
                "X",
                format!("{} values for {d} columns", values.len()),
                "an (n, d) array with d >= 1",
            ));
        }
        Ok(Dense { values, d })
    }

    fn row(&self, i: usize) -> &'a [T] {
        &self.values[i * self.d..][..self.d]
    }

    fn run(&self, run: &Range<usize>) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        self.values[run.start * self.d..run.end * self.d].chunks_exact(self.d)
    }
}

impl<T: Element> Rows for Dense<'_, T> {
    fn d(&self) -> usize {
        self.d
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64]) {
        match pick {
            Pick::Run(run) => forward(self.run(run), w, b, raw),
            Pick::At { order, stretch } => {
                let ahead = (AHEAD_NUMBERS / self.d).clamp(4, AHEAD);
                let rows = stretch.clone().zip(&order[stretch.clone()]).map(|(at, &i)| {
                    if let Some(&soon) = order.get(at + ahead) {
                        prefetch(self.row(soon));
                    }
                    self.row(i)
                });
                forward(rows, w, b, raw);
            }
        }
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64]) {
        match pick {
            Pick::Run(run) => backward(self.run(run), slope, self.d, grad),
            Pick::At { order, stretch } => {
                backward(order[stretch.clone()].iter().map(|&i| self.row(i)), slope, self.d, grad);
            }
        }
    }

    fn square(&self, i: usize) -> f64 {
        self.row(i).iter().map(|&x| x.into() * x.into()).sum()
    }
}

fn forward<'r, T: Element + 'r>(rows: impl Iterator<Item = &'r [T]>, w: &[f64], b: &[f64], raw: &mut [f64]) {
    let first = b.first().copied().unwrap_or(0.0);
    let mut raw = raw.iter_mut();
    for x in rows {
        for (k, w) in w.chunks_exact(x.len()).enumerate() {
            let Some(raw) = raw.next() else { return };
            *raw = dot(x, w) + if k == 0 { first } else { b.get(k).copied().unwrap_or(0.0) };
        }
    }
}

fn backward<'r, T: Element + 'r>(rows: impl Iterator<Item = &'r [T]>, slope: &[f64], d: usize, grad: &mut [f64]) {
    let mut slope = slope.iter();
    for x in rows {
        for grad in grad.chunks_exact_mut(d) {
            let Some(slope) = slope.next() else { return };
            axpy(*slope, x, grad);
        }
    }
}

/// Rows, targets and weights.
pub struct Problem<'a> {
    pub rows: &'a dyn Rows,
    /// (n, outputs), row-major
    pub y: &'a [f64],
    pub outputs: usize,
    /// (n), or empty for all ones
    pub weight: &'a [f64],
    pub n: usize,
    pub mean_weight: f64,
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
        Ok(Problem { rows, y, outputs, weight, n, mean_weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_every_row_once_in_order() {
        let (order, array): (Vec<usize>, Vec<f64>) = ([4, 0, 3, 3, 1].to_vec(), (0..14).map(f64::from).collect());
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
        let mut raw = [0.0; 4];
        rows.forward(&Pick::at(&[2, 0]), &w, &b, &mut raw);
        assert_eq!(raw, [9.0, 34.5, 9.0, 24.5]);
        let mut grad = [0.0; 4];
        rows.backward(&Pick::Run(1..3), &[1.0, 0.0, 2.0, 1.0], &mut grad);
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
    }
}
