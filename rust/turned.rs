//! Turned: rows that lie in columns of eight, batch by batch (`kernels::Columns`).

use crate::data::{Lines, Pick, Rows};
use crate::kernels::{self, Columns, Set};

/// Such rows of d numbers. What is not done by columns is done on copies.
pub struct Turned<'a> {
    columns: Columns<'a>,
    d: usize,
    set: Set,
}

impl<'a> Turned<'a> {
    pub fn new(columns: Columns<'a>, d: usize, set: Set) -> Self {
        Turned { columns, d, set }
    }

    /// Number j of row i.
    fn at(&self, i: usize, j: usize) -> f64 {
        let Columns { eights, size, .. } = self.columns;
        let of_batch = i % size;
        eights[(i / size * size.div_ceil(8) + of_batch / 8) * self.d + j].0[of_batch % 8]
    }
}

impl Rows for Turned<'_> {
    fn d(&self) -> usize {
        self.d
    }

    fn turned(&self, pick: &Pick) -> Option<Columns<'_>> {
        let Columns { eights, size, count } = self.columns;
        let Pick::Run(run) = pick else { return None };
        let whole = run.start.is_multiple_of(size) && (run.end.is_multiple_of(size) || run.end == count);
        let (of_batch, rest) = (size.div_ceil(8), run.len() % size);
        let count_of_eights = run.len() / size * of_batch + rest.div_ceil(8);
        let eights = eights[run.start / size * of_batch * self.d..].get(..count_of_eights * self.d)?;
        whole.then_some(Columns { eights, size, count: run.len() })
    }

    fn block<'s>(&'s self, pick: &'s Pick, room: &'s mut Vec<f64>) -> Lines<'s> {
        room.resize(pick.len() * self.d, 0.0);
        self.fill(pick, self.d, room);
        self.again(pick, room)
    }

    fn again<'s>(&'s self, _pick: &'s Pick, room: &'s [f64]) -> Lines<'s> {
        Lines::Together { values: room, stride: self.d, beyond: 0 }
    }

    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        for (at, out) in out.chunks_mut(stride).enumerate().take(pick.len()) {
            out.iter_mut().take(self.d).enumerate().for_each(|(j, out)| *out = self.at(pick.row(at), j));
        }
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>) {
        kernels::forward(self.set, self.block(pick, room), self.d, w, b, raw);
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64], room: &[f64]) {
        kernels::backward(self.set, self.again(pick, room), self.d, slope, grad);
    }

    fn square(&self, i: usize) -> f64 {
        (0..self.d).map(|j| self.at(i, j).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Eight;

    #[test]
    fn turned_rows_are_what_they_were() {
        let (n, d, size) = (23, 3, 10);
        let values: Vec<f64> = (0..n * d).map(|i| (i as f64 * 0.7).sin()).collect();
        let mut eights = vec![Eight::default(); (2 * 2 + 1) * d];
        kernels::by_eights(
            Set::BASELINE,
            Lines::Together { values: &values, stride: d, beyond: 0 },
            d,
            size,
            &mut eights,
        );
        let turned = Turned::new(Columns { eights: &eights, size, count: n }, d, Set::BASELINE);
        let mut out = vec![0.0; n * d];
        turned.fill(&Pick::Run(0..n), d, &mut out);
        assert_eq!(out, values);
        assert_eq!(turned.square(12), (0..d).map(|j| values[12 * d + j].powi(2)).sum::<f64>());
        let some = |rows| turned.turned(&Pick::Run(rows)).map(|columns| (columns.eights.len(), columns.count));
        assert_eq!((some(10..20), some(10..23), some(20..23)), (Some((6, 10)), Some((9, 13)), Some((3, 3))));
        assert_eq!((some(0..5), some(5..20), turned.turned(&Pick::at(&[0])).is_none()), (None, None, true));
    }
}
