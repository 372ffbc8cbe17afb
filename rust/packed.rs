//! Packed: a copy of short rows for visits in random order, each row with its target and weight in whole cache lines.
//! A visit is then one stretch of memory, asked for well before it is needed, instead of three that straddle lines.

use std::sync::{Mutex, PoisonError};

use crate::data::{Lines, Pick, Problem, Rows};
use crate::error::Error;
use crate::kernels::{self, Set, ask_for_huge_pages, untouched};
use crate::observe::Watch;
use crate::threads::{each_part, parts};

/// Numbers of a cache line, and its bytes.
const LINE: usize = 8;
const LINE_BYTES: usize = LINE * size_of::<f64>();
/// Numbers of a row at most; longer rows are as quickly visited where they lie, unless that is in many places.
const LONGEST: usize = 8 * LINE;
/// Bytes of a copy at most.
const MOST_BYTES: usize = 1 << 31;
/// Bytes of a copy at least: fewer are in the caches wherever they lie.
const LEAST_BYTES: usize = 1 << 20;
/// Visits of a row that repay its copy.
const REPAID: u64 = 2;
/// How many rows ahead memory is asked for.
const AHEAD: usize = 128;
/// Rows that are copied between two looks at the clock.
const BLOCK: usize = 256;

/// (x | y | s | 0) row by row, s only if rows weigh differently. No row shares a line with part of another.
pub struct Packed {
    values: Vec<f64>,
    /// The first of them, where a line begins.
    start: usize,
    /// Numbers from row to row.
    stride: usize,
    d: usize,
    told: usize,
    weighted: bool,
    set: Set,
}

impl Packed {
    /// A copy of a problem, as its rows are seen, if that is worth its time and memory for `visits` of each row; none,
    /// too, where there is no memory for it.
    ///
    /// # Errors
    /// What `watch` answers.
    pub fn worth(
        problem: &Problem,
        visits: u64,
        set: Set,
        threads: usize,
        watch: &mut Watch,
    ) -> Result<Option<Self>, Error> {
        let bytes = problem.n.saturating_mul(Self::stride_of(problem) * size_of::<f64>());
        let apart = problem.rows.apart();
        let short = bytes >= LEAST_BYTES && Self::stride_of(problem) <= LONGEST;
        let dense = problem.rows.sparse().is_none();
        if visits >= REPAID && bytes <= MOST_BYTES && dense && (short || apart) {
            Packed::new(problem, set, threads, watch)
        } else {
            Ok(None)
        }
    }

    /// Several rows a line, or whole lines a row.
    fn stride_of(problem: &Problem) -> usize {
        let numbers = problem.rows.d() + problem.told + usize::from(!problem.weight.is_empty());
        if numbers <= LINE { numbers.next_power_of_two() } else { numbers.next_multiple_of(LINE) }
    }

    fn new(problem: &Problem, set: Set, threads: usize, watch: &mut Watch) -> Result<Option<Self>, Error> {
        let (d, told, stride) = (problem.rows.d(), problem.told, Self::stride_of(problem));
        let Some(mut values) = untouched(problem.n * stride + LINE) else { return Ok(None) };
        ask_for_huge_pages(&mut values);
        let start = values.as_ptr().align_offset(LINE_BYTES).min(LINE);
        let ranges = parts(problem.n, 1);
        let size = ranges.clone().next().map_or(1, |part| part.len());
        let slots: Vec<_> = values[start..][..problem.n * stride].chunks_mut(size * stride).map(Mutex::new).collect();
        each_part(ranges, 8 * stride, threads, watch, |part, watch| {
            let mut slot = slots[part.start / size].lock().unwrap_or_else(PoisonError::into_inner);
            for (pick, room) in Pick::Run(part).blocks(BLOCK).zip(slot.chunks_mut(BLOCK * stride)) {
                problem.rows.fill(&pick, stride, room);
                for (at, row) in room.chunks_exact_mut(stride).enumerate() {
                    let i = pick.row(at);
                    for (row, y) in row[d..].iter_mut().zip(&problem.y[i * told..][..told]) {
                        *row = *y;
                    }
                    if let Some(s) = problem.weight.get(i) {
                        row[d + told] = *s;
                    }
                }
                watch.tick(room.len())?;
            }
            Ok(())
        })?;
        drop(slots);
        let weighted = !problem.weight.is_empty();
        Ok(Some(Packed { values, start, stride, d, told, weighted, set }))
    }

    fn rows(&self) -> &[f64] {
        &self.values[self.start..]
    }

    /// The picked rows, whole.
    fn each<'s>(&'s self, pick: &'s Pick) -> impl Iterator<Item = &'s [f64]> {
        let rows = self.rows();
        (0..pick.len()).map(move |at| &rows[pick.row(at) * self.stride..][..self.stride])
    }
}

impl Rows for Packed {
    fn d(&self) -> usize {
        self.d
    }

    fn block<'s>(&'s self, pick: &'s Pick, _room: &'s mut Vec<f64>) -> Lines<'s> {
        self.again(pick, &[])
    }

    fn again<'s>(&'s self, pick: &'s Pick, _room: &'s [f64]) -> Lines<'s> {
        let (values, stride) = (self.rows(), self.stride);
        match pick {
            Pick::Run(run) => {
                let (values, beyond) = values[run.start * stride..].split_at(run.len() * stride);
                Lines::Together { values, stride, beyond: beyond.len() }
            }
            Pick::At { order, stretch } => Lines::Apart {
                values,
                stride,
                at: &order[stretch.clone()],
                soon: order.get(stretch.start + AHEAD..).unwrap_or(&[]),
            },
        }
    }

    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        for (row, out) in self.each(pick).zip(out.chunks_mut(stride)) {
            out[..self.d].copy_from_slice(&row[..self.d]);
        }
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>) {
        kernels::forward(self.set, self.block(pick, room), self.d, w, b, raw);
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64], room: &[f64]) {
        kernels::backward(self.set, self.again(pick, room), self.d, slope, grad);
    }

    fn targets(&self, pick: &Pick, y: &mut Vec<f64>, weight: &mut Vec<f64>) -> bool {
        y.clear();
        match self.told {
            1 => y.extend(self.each(pick).map(|row| row[self.d])),
            told => self.each(pick).for_each(|row| y.extend_from_slice(&row[self.d..][..told])),
        }
        weight.clear();
        if self.weighted {
            weight.extend(self.each(pick).map(|row| row[self.d + self.told]));
        }
        true
    }

    fn square(&self, i: usize) -> f64 {
        self.rows()[i * self.stride..][..self.d].iter().map(|x| x * x).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dense;
    use crate::observe::Alone;

    /// Packed rows give the bits that the rows give where they lie, in any order, with weights and without.
    #[test]
    fn packed_rows_are_the_rows() {
        let n = 300;
        let order: Vec<u32> = (0..300).map(|i| (i * 7) % 300).collect();
        for (d, outputs) in [(1, 1), (3, 2), (7, 1), (10, 1), (20, 3), (50, 1)] {
            let wave =
                |count: usize, speed: f64| -> Vec<f64> { (0..count).map(|i| (i as f64 * speed).sin()).collect() };
            let (x, y, s) = (wave(n * d, 0.7), wave(n * outputs, 0.3), vec![2.0; n]);
            let rows = Dense::new(&x, d).unwrap();
            for weight in [&[][..], &s] {
                let problem = Problem::new(&rows, n, &y, outputs, weight).unwrap();
                let mut alone = Alone;
                let set = kernels::set().unwrap();
                let packed = Packed::new(&problem, set, 2, &mut Watch::new(&mut alone)).unwrap().unwrap();
                let second = Problem { rows: &packed, ..problem };
                for pick in [Pick::Run(5..70), Pick::At { order: &order, stretch: 40..133 }] {
                    let of = |problem: &Problem| {
                        let (mut room, mut y, mut s) = (Vec::new(), Vec::new(), Vec::new());
                        let (mut raw, mut grad) = (vec![0.0; pick.len() * outputs], vec![0.0; d * outputs]);
                        let told = problem.targets(&pick, &mut y, &mut s);
                        if outputs == 1 {
                            let (lines, y) = (problem.rows.block(&pick, &mut room), told.y);
                            kernels::gradient(set, lines, &wave(d, 1.1), 0.5, &mut grad, &mut |i, raw| {
                                raw.iter_mut().zip(&y[i..]).for_each(|(raw, y)| *raw -= y);
                                0.0
                            });
                        } else {
                            problem.rows.forward(&pick, &wave(d * outputs, 1.1), &[0.5], &mut raw, &mut room);
                            problem.rows.backward(&pick, &raw, &mut grad, &room);
                        }
                        (raw, grad, told.y.to_vec(), told.weight.to_vec(), problem.rows.square(17))
                    };
                    assert_eq!(of(&problem), of(&second), "d = {d}, outputs = {outputs}");
                }
            }
        }
    }

    #[test]
    fn only_what_is_repaid_is_copied() {
        let (x, y) = (vec![1.0; 100_000], vec![1.0; 100_000]);
        let rows = Dense::new(&x, 1).unwrap();
        let long = Dense::new(&x, 100).unwrap();
        let packed = |rows: &dyn Rows, n: usize, visits: u64| {
            let (problem, mut alone) = (Problem::new(rows, n, &y[..n], 1, &[]).unwrap(), Alone);
            Packed::worth(&problem, visits, Set::BASELINE, 2, &mut Watch::new(&mut alone)).unwrap().is_some()
        };
        assert!(packed(&rows, 100_000, 2));
        assert!(!packed(&rows, 100_000, 1) && !packed(&long, 1000, 9));
    }
}
