//! Packed: a copy of short rows for visits in random order, each row with its target and weight in whole cache lines.
//! A visit is then one stretch of memory, asked for well before it is needed, instead of three that straddle lines.

use crate::data::{Lines, Pick, Problem, Rows};
use crate::error::Error;
use crate::kernels::{self, Set, ask_for_huge_pages, prefetch};
use crate::observe::Watch;

/// Numbers of a cache line, and its bytes.
const LINE: usize = 8;
const LINE_BYTES: usize = LINE * size_of::<f64>();
/// Numbers of a row at most; longer rows are as quickly visited where they lie, unless that is in many places.
const LONGEST: usize = 8 * LINE;
/// Bytes of a copy at most.
const MOST_BYTES: usize = 1 << 31;
/// Visits of a row that repay its copy.
const REPAID: u64 = 2;
/// How many rows ahead memory is asked for.
const AHEAD: usize = 64;
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
    outputs: usize,
    weighted: bool,
    set: Set,
}

impl Packed {
    /// A copy of a problem, as its rows are seen, if that is worth its time and memory for `visits` of each row; none,
    /// too, where there is no memory for it.
    ///
    /// # Errors
    /// What `watch` answers.
    pub fn worth(problem: &Problem, visits: u64, set: Set, watch: &mut Watch) -> Result<Option<Self>, Error> {
        let bytes = problem.n.saturating_mul(Self::stride_of(problem) * size_of::<f64>());
        let worth = visits >= REPAID && bytes <= MOST_BYTES;
        if worth && (Self::stride_of(problem) <= LONGEST || problem.rows.apart()) {
            Packed::new(problem, set, watch)
        } else {
            Ok(None)
        }
    }

    /// Several rows a line, or whole lines a row.
    fn stride_of(problem: &Problem) -> usize {
        let numbers = problem.rows.d() + problem.outputs + usize::from(!problem.weight.is_empty());
        if numbers <= LINE { numbers.next_power_of_two() } else { numbers.next_multiple_of(LINE) }
    }

    fn new(problem: &Problem, set: Set, watch: &mut Watch) -> Result<Option<Self>, Error> {
        let (d, outputs, stride) = (problem.rows.d(), problem.outputs, Self::stride_of(problem));
        let mut values: Vec<f64> = Vec::new();
        if values.try_reserve_exact(problem.n * stride + LINE).is_err() {
            return Ok(None);
        }
        ask_for_huge_pages(values.spare_capacity_mut());
        let start = values.as_ptr().align_offset(LINE_BYTES).min(LINE);
        values.resize(start, 0.0);
        let mut room = vec![0.0; BLOCK * stride];
        for pick in Pick::Run(0..problem.n).blocks(BLOCK) {
            let room = &mut room[..pick.len() * stride];
            problem.rows.fill(&pick, stride, room);
            let Pick::Run(run) = pick else { continue };
            for (row, i) in room.chunks_exact_mut(stride).zip(run) {
                row[d..d + outputs].copy_from_slice(&problem.y[i * outputs..][..outputs]);
                if let Some(s) = problem.weight.get(i) {
                    row[d + outputs] = *s;
                }
            }
            values.extend_from_slice(room);
            watch.tick(room.len())?;
        }
        let weighted = !problem.weight.is_empty();
        Ok(Some(Packed { values, start, stride, d, outputs, weighted, set }))
    }

    fn rows(&self) -> &[f64] {
        &self.values[self.start..]
    }

    /// The rows `at`, one after the other.
    fn gather<const S: usize>(&self, at: &[usize], soon: &[usize], room: &mut [f64]) {
        let ((rows, _), (room, _)) = (self.rows().as_chunks::<S>(), room.as_chunks_mut::<S>());
        let ahead = soon.len().min(at.len());
        for ((out, &i), &soon) in room.iter_mut().zip(at).zip(soon) {
            prefetch(&rows[soon]);
            *out = rows[i];
        }
        for (out, &i) in room.iter_mut().zip(at).skip(ahead) {
            *out = rows[i];
        }
    }
}

impl Rows for Packed {
    fn d(&self) -> usize {
        self.d
    }

    fn block<'s>(&'s self, pick: &'s Pick, room: &'s mut Vec<f64>) -> Lines<'s> {
        let stride = self.stride;
        let (order, stretch) = match pick {
            Pick::Run(run) => {
                return Lines::Together { values: &self.rows()[run.start * stride..run.end * stride], stride };
            }
            Pick::At { order, stretch } => (order, stretch),
        };
        room.resize(pick.len() * stride, 0.0);
        let (at, soon) = (&order[stretch.clone()], order.get(stretch.start + AHEAD..).unwrap_or(&[]));
        match stride {
            2 => self.gather::<2>(at, soon, room),
            4 => self.gather::<4>(at, soon, room),
            8 => self.gather::<8>(at, soon, room),
            16 => self.gather::<16>(at, soon, room),
            24 => self.gather::<24>(at, soon, room),
            32 => self.gather::<32>(at, soon, room),
            40 => self.gather::<40>(at, soon, room),
            48 => self.gather::<48>(at, soon, room),
            56 => self.gather::<56>(at, soon, room),
            64 => self.gather::<64>(at, soon, room),
            _ => {
                for (out, &i) in room.chunks_exact_mut(stride).zip(at) {
                    out.copy_from_slice(&self.rows()[i * stride..][..stride]);
                }
            }
        }
        Lines::Together { values: room, stride }
    }

    fn again<'s>(&'s self, pick: &'s Pick, room: &'s [f64]) -> Lines<'s> {
        let values = match pick {
            Pick::Run(run) => &self.rows()[run.start * self.stride..run.end * self.stride],
            Pick::At { .. } => room,
        };
        Lines::Together { values, stride: self.stride }
    }

    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        let mut room = Vec::new();
        let Lines::Together { values, .. } = self.block(pick, &mut room) else { return };
        for (row, out) in values.chunks_exact(self.stride).zip(out.chunks_mut(stride)) {
            out[..self.d].copy_from_slice(&row[..self.d]);
        }
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>) {
        kernels::forward(self.set, self.block(pick, room), self.d, w, b, raw);
    }

    fn backward(&self, pick: &Pick, slope: &[f64], grad: &mut [f64], room: &[f64]) {
        kernels::backward(self.set, self.again(pick, room), self.d, slope, grad);
    }

    fn targets(&self, pick: &Pick, room: &[f64], y: &mut Vec<f64>, weight: &mut Vec<f64>) -> bool {
        let Lines::Together { values, stride } = self.again(pick, room) else { return false };
        let rows = values.chunks_exact(stride);
        y.clear();
        match self.outputs {
            1 => y.extend(rows.clone().map(|row| row[self.d])),
            outputs => rows.clone().for_each(|row| y.extend_from_slice(&row[self.d..][..outputs])),
        }
        weight.clear();
        if self.weighted {
            weight.extend(rows.map(|row| row[self.d + self.outputs]));
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
        let order: Vec<usize> = (0..n).map(|i| (i * 7) % n).collect();
        for (d, outputs) in [(1, 1), (3, 2), (7, 1), (10, 1), (20, 3), (50, 1)] {
            let wave =
                |count: usize, speed: f64| -> Vec<f64> { (0..count).map(|i| (i as f64 * speed).sin()).collect() };
            let (x, y, s) = (wave(n * d, 0.7), wave(n * outputs, 0.3), vec![2.0; n]);
            let rows = Dense::new(&x, d).unwrap();
            for weight in [&[][..], &s] {
                let problem = Problem::new(&rows, n, &y, outputs, weight).unwrap();
                let mut alone = Alone;
                let set = kernels::set().unwrap();
                let packed = Packed::new(&problem, set, &mut Watch::new(&mut alone)).unwrap().unwrap();
                let second = Problem { rows: &packed, ..problem };
                for pick in [Pick::Run(5..70), Pick::At { order: &order, stretch: 40..133 }] {
                    let of = |problem: &Problem| {
                        let (mut room, mut y, mut s) = (Vec::new(), Vec::new(), Vec::new());
                        let (mut raw, mut grad) = (vec![0.0; pick.len() * outputs], vec![0.0; d * outputs]);
                        problem.rows.forward(&pick, &wave(d * outputs, 1.1), &[0.5], &mut raw, &mut room);
                        problem.rows.backward(&pick, &raw, &mut grad, &room);
                        problem.targets(&pick, &room, &mut y, &mut s);
                        (raw, grad, y, s, problem.rows.square(17))
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
            Packed::worth(&problem, visits, Set::BASELINE, &mut Watch::new(&mut alone)).unwrap().is_some()
        };
        assert!(packed(&rows, 100_000, 2));
        assert!(!packed(&rows, 100_000, 1) && !packed(&long, 1000, 9));
    }
}
