//! Packed: a copy of short rows for visits in random order, each row with its target and weight in whole cache lines.
//! A visit is then one stretch of memory, asked for well before it is needed, instead of three that straddle lines.

use crate::data::{Lines, Pick, Problem, Rows};
use crate::error::Error;
use crate::kernels::{self, Set, ask_for_huge_pages, prefetch};
use crate::observe::Watch;

/// Numbers of a cache line.
const LINE: usize = 8;
/// A cache line's worth of numbers, where one begins.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([f64; LINE]);

/// Lines of a row at most; longer rows are as quickly visited where they lie.
const MOST_LINES: usize = 8;
/// Bytes of a copy at least (less than that stays in the cache anyway) and at most.
const LEAST_BYTES: usize = 1 << 19;
const MOST_BYTES: usize = 1 << 31;
/// Visits of a row that repay its copy.
const REPAID: u64 = 2;
/// How many rows ahead memory is asked for.
const AHEAD: usize = 64;
/// Rows that are copied between two looks at the clock.
const BLOCK: usize = 256;

/// (x | y | s | 0) row by row, s only if rows weigh differently.
pub struct Packed {
    lines: Vec<Line>,
    /// Lines of a row.
    width: usize,
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
        let (d, outputs) = (problem.rows.d(), problem.outputs);
        let width = (d + outputs + usize::from(!problem.weight.is_empty())).div_ceil(LINE);
        let bytes = problem.n.saturating_mul(width * size_of::<Line>());
        if width > MOST_LINES || visits < REPAID || !(LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
            return Ok(None);
        }
        Packed::new(problem, width, set, watch)
    }

    fn new(problem: &Problem, width: usize, set: Set, watch: &mut Watch) -> Result<Option<Self>, Error> {
        let (d, outputs, stride) = (problem.rows.d(), problem.outputs, width * LINE);
        let mut lines: Vec<Line> = Vec::new();
        if lines.try_reserve_exact(problem.n * width).is_err() {
            return Ok(None);
        }
        ask_for_huge_pages(lines.spare_capacity_mut());
        let mut room = vec![0.0; BLOCK * stride];
        for pick in Pick::Run(0..problem.n).blocks(BLOCK) {
            problem.rows.fill(&pick, stride, &mut room);
            let Pick::Run(run) = pick else { continue };
            for (row, i) in room.chunks_exact_mut(stride).zip(run) {
                row[d..d + outputs].copy_from_slice(&problem.y[i * outputs..][..outputs]);
                if let Some(s) = problem.weight.get(i) {
                    row[d + outputs] = *s;
                }
                lines.extend(row.as_chunks::<LINE>().0.iter().map(|line| Line(*line)));
            }
            watch.tick(BLOCK * stride)?;
        }
        Ok(Some(Packed { lines, width, d, outputs, weighted: !problem.weight.is_empty(), set }))
    }

    fn row(&self, i: usize) -> &[Line] {
        &self.lines[i * self.width..][..self.width]
    }

    /// The rows `at`, one after the other.
    fn gather<const W: usize>(&self, at: &[usize], soon: &[usize], room: &mut [f64]) {
        let (rows, _) = self.lines.as_chunks::<W>();
        let soon = soon.iter().map(Some).chain(std::iter::repeat(None));
        for ((&i, soon), out) in at.iter().zip(soon).zip(room.chunks_exact_mut(W * LINE)) {
            if let Some(&soon) = soon {
                prefetch(&rows[soon]);
            }
            for (line, out) in rows[i].iter().zip(out.as_chunks_mut::<LINE>().0) {
                *out = line.0;
            }
        }
    }
}

impl Rows for Packed {
    fn d(&self) -> usize {
        self.d
    }

    fn block<'s>(&'s self, pick: &'s Pick, room: &'s mut Vec<f64>) -> Lines<'s> {
        let stride = self.width * LINE;
        room.resize(pick.len() * stride, 0.0);
        match pick {
            Pick::Run(run) => {
                for (row, out) in run.clone().map(|i| self.row(i)).zip(room.chunks_exact_mut(stride)) {
                    for (line, out) in row.iter().zip(out.as_chunks_mut::<LINE>().0) {
                        *out = line.0;
                    }
                }
            }
            Pick::At { order, stretch } => {
                let (at, soon) = (&order[stretch.clone()], order.get(stretch.start + AHEAD..).unwrap_or(&[]));
                match self.width {
                    1 => self.gather::<1>(at, soon, room),
                    2 => self.gather::<2>(at, soon, room),
                    3 => self.gather::<3>(at, soon, room),
                    4 => self.gather::<4>(at, soon, room),
                    5 => self.gather::<5>(at, soon, room),
                    6 => self.gather::<6>(at, soon, room),
                    7 => self.gather::<7>(at, soon, room),
                    _ => self.gather::<8>(at, soon, room),
                }
            }
        }
        Lines::Together { values: room, stride }
    }

    fn fill(&self, pick: &Pick, stride: usize, out: &mut [f64]) {
        let mut room = Vec::new();
        self.block(pick, &mut room);
        for (row, out) in room.chunks_exact(self.width * LINE).zip(out.chunks_mut(stride)) {
            out[..self.d].copy_from_slice(&row[..self.d]);
        }
    }

    fn forward(&self, pick: &Pick, w: &[f64], b: &[f64], raw: &mut [f64], room: &mut Vec<f64>) {
        kernels::forward(self.set, self.block(pick, room), self.d, w, b, raw);
    }

    fn backward(&self, _pick: &Pick, slope: &[f64], grad: &mut [f64], room: &[f64]) {
        let lines = Lines::Together { values: room, stride: self.width * LINE };
        kernels::backward(self.set, lines, self.d, slope, grad);
    }

    fn targets(&self, room: &[f64], outputs: usize, y: &mut Vec<f64>, weight: &mut Vec<f64>) -> bool {
        let rows = room.chunks_exact(self.width * LINE);
        y.clear();
        match outputs {
            1 => y.extend(rows.clone().map(|row| row[self.d])),
            _ => rows.clone().for_each(|row| y.extend_from_slice(&row[self.d..][..outputs])),
        }
        weight.clear();
        if self.weighted {
            weight.extend(rows.map(|row| row[self.d + self.outputs]));
        }
        true
    }

    fn square(&self, i: usize) -> f64 {
        let row = self.row(i).iter().flat_map(|line| line.0);
        row.take(self.d).map(|x| x * x).sum()
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
                let (mut alone, width) = (Alone, (d + outputs + 1).div_ceil(LINE));
                let set = kernels::set().unwrap();
                let packed = Packed::new(&problem, width, set, &mut Watch::new(&mut alone)).unwrap().unwrap();
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
            Packed::worth(&problem, visits, Set::Baseline, &mut Watch::new(&mut alone)).unwrap().is_some()
        };
        assert!(packed(&rows, 100_000, 2));
        assert!(!packed(&rows, 100_000, 1) && !packed(&long, 1000, 9));
        assert!(!packed(&Dense::new(&x[..100], 1).unwrap(), 100, 9));
    }
}
