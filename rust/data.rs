//! Data: the rows of a problem as borrowed views, however they are stored.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::{Element, axpy, dot};

/// Which rows: a run of neighbours, or any list.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick<'a> {
    Run(Range<usize>),
    At(&'a [usize]),
}

impl<'a> Pick<'a> {
    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Pick::Run(run) => run.len(),
            Pick::At(list) => list.len(),
        }
    }

    /// Whether no row is picked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Blocks of at most `size` rows, in order.
    pub fn blocks(&self, size: usize) -> impl Iterator<Item = Pick<'a>> + use<'a> {
        let (pick, n) = (self.clone(), self.len());
        (0..n).step_by(size).map(move |from| {
            let to = (from + size).min(n);
            match &pick {
                Pick::Run(run) => Pick::Run(run.start + from..run.start + to),
                Pick::At(list) => Pick::At(&list[from..to]),
            }
        })
    }

    /// The indices of the rows, in order.
    pub fn indices(&self) -> impl Iterator<Item = usize> + use<'a> {
        let (run, list) = match self {
            Pick::Run(run) => (run.clone(), [].as_slice()),
            Pick::At(list) => (0..0, *list),
        };
        run.chain(list.iter().copied())
    }
}

/// Rows that can be multiplied from both sides. `w` is (outputs, d), `raw` and `slope` are (rows, outputs), row-major.
pub trait Rows: Sync {
    /// Number of features.
    fn d(&self) -> usize;

    /// raw_ik = x_i . w_k + b_k; `b` may be empty.
    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64]);

    /// grad_k += sum_i slope_ik x_i
    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64]);
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
        &self.values[i * self.d..(i + 1) * self.d]
    }
}

impl<T: Element> Rows for Dense<'_, T> {
    fn d(&self) -> usize {
        self.d
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64]) {
        let outputs = w.len() / self.d;
        for (i, raw) in pick.indices().zip(raw.chunks_exact_mut(outputs)) {
            let x = self.row(i);
            for (k, (raw, w)) in raw.iter_mut().zip(w.chunks_exact(self.d)).enumerate() {
                *raw = dot(x, w) + b.get(k).copied().unwrap_or(0.0);
            }
        }
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64]) {
        let outputs = grad.len() / self.d;
        for (i, slope) in pick.indices().zip(slope.chunks_exact(outputs)) {
            let x = self.row(i);
            for (slope, grad) in slope.iter().zip(grad.chunks_exact_mut(self.d)) {
                axpy(*slope, x, grad);
            }
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
        let list = [4, 0, 3, 3, 1];
        for pick in [Pick::Run(2..7), Pick::At(&list)] {
            for size in 1..7 {
                let joined: Vec<usize> =
                    pick.blocks(size).flat_map(|block| block.indices().collect::<Vec<_>>()).collect();
                assert_eq!(joined, pick.indices().collect::<Vec<_>>());
                assert!(pick.blocks(size).all(|block| block.len() <= size && !block.is_empty()));
            }
        }
    }

    #[test]
    fn forward_and_backward_are_products_with_the_matrix_and_its_transpose() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = Dense::new(&values, 2).unwrap();
        let (w, b) = ([1.0, -1.0, 0.5, 2.0], [10.0, 20.0]);
        let mut raw = [0.0; 4];
        rows.forward(&Pick::At(&[2, 0]), &w, &b, &mut raw);
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
