//! Gram: weight, mean and products of the columns (x | y) about their mean, which is all that a squared loss sees of its
//! rows. Block by block, each about its own mean; blocks and parts are merged by Chan, Golub and LeVeque,
//! "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), so an offset costs no digits.

use crate::data::{Pick, Problem};
use crate::error::Error;
use crate::kernels::{self, Set};
use crate::observe::Watch;
use crate::threads::each_part;

/// Numbers of a block: it is read several times, and should stay in the first-level cache.
const BLOCK: usize = 3072;

/// The moments of p columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    pub weight: f64,
    /// (p): the first row that counts. The mean is told from it, so that an offset costs no digits.
    pub origin: Vec<f64>,
    /// (p): of z - origin
    pub mean: Vec<f64>,
    /// (p, p), the upper half: `sum_i s_i (z_i - mean) (z_i - mean)^T`; or (p), its diagonal.
    pub products: Vec<f64>,
    /// (p): the largest |z - origin|
    pub range: Vec<f64>,
}

impl Moments {
    fn none(origin: Vec<f64>, size: usize) -> Self {
        let p = origin.len();
        Moments { weight: 0.0, origin, mean: vec![0.0; p], products: vec![0.0; size], range: vec![0.0; p] }
    }

    /// Adds `by a a^T`, or its diagonal.
    fn add(&mut self, by: f64, a: &[f64]) {
        let p = self.mean.len();
        if self.products.len() == p {
            for (product, a) in self.products.iter_mut().zip(a) {
                *product += by * a * a;
            }
            return;
        }
        for (j, row) in self.products.chunks_exact_mut(p).enumerate() {
            let a_j = by * a[j];
            for (product, a) in row[j..].iter_mut().zip(&a[j..]) {
                *product += a_j * a;
            }
        }
    }

    /// Takes in rows of this weight and mean, whose own products are in `self` already.
    fn meet(&mut self, weight: f64, mean: &[f64], room: &mut [f64]) {
        let both = self.weight + weight;
        if weight == 0.0 || both == 0.0 {
            return;
        }
        for ((apart, mean), mine) in room.iter_mut().zip(mean).zip(&mut self.mean) {
            *apart = mean - *mine;
            *mine = if self.weight == 0.0 { *mean } else { *mine + *apart * (weight / both) };
        }
        if self.weight > 0.0 {
            self.add(self.weight / both * weight, room);
        }
        self.weight = both;
    }

    /// The moments of both together.
    fn merge(&mut self, other: &Moments, room: &mut [f64]) {
        for (mine, theirs) in self.products.iter_mut().zip(&other.products) {
            *mine += theirs;
        }
        for (mine, theirs) in self.range.iter_mut().zip(&other.range) {
            *mine = mine.max(*theirs);
        }
        self.meet(other.weight, &other.mean, room);
    }
}

/// The moments of the columns (x | y) of a problem; `cross` asks for the products of different columns too.
///
/// # Errors
/// What `watch` answers, and lack of memory.
pub fn moments(problem: &Problem, cross: bool, set: Set, threads: usize, watch: &mut Watch) -> Result<Moments, Error> {
    let (d, outputs) = (problem.rows.d(), problem.outputs);
    let p = (d + outputs).next_multiple_of(8); // whole lanes; what is over stays 0
    let size = if cross { p.saturating_mul(p) } else { p };
    let memory = |_| Error::Memory { what: "products of columns", bytes: size.saturating_mul(8) };
    Vec::<f64>::new().try_reserve_exact(size.saturating_mul(2)).map_err(memory)?;
    let origin = first_counted(problem, p);
    let each = if cross { p * p / 2 } else { 8 * p };
    let parts = each_part(problem.n, each, threads, watch, |part, watch| {
        let (mut sum, mut room) = (Moments::none(origin.clone(), size), vec![0.0; p]);
        let rows = (BLOCK / p).clamp(8, 256);
        let (mut block, mut s, mut shift, mut left) = (Vec::new(), Vec::new(), vec![0.0; p], vec![0.0; p]);
        for pick in Pick::Run(part).blocks(rows) {
            load(problem, &pick, &origin, &mut block, &mut s);
            about(&block, &s, &mut shift, &mut sum.range);
            centre(&mut block, &s, &shift, &mut left);
            if cross {
                kernels::products(set, &block, p, &s, &mut sum.products);
            } else {
                squares(&block, &s, &mut sum.products);
            }
            let weight = if s.is_empty() { pick.len() as f64 } else { s.iter().sum() };
            if weight > 0.0 {
                // what rounding and weights left of the mean
                sum.add(-1.0 / weight, &left);
                for (shift, left) in shift.iter_mut().zip(&left) {
                    *shift += left / weight;
                }
            }
            sum.meet(weight, &shift, &mut room);
            watch.tick(pick.len() * each)?;
        }
        Ok(sum)
    })?;
    let (mut all, mut room) = (Moments::none(origin, size), vec![0.0; p]);
    for part in &parts {
        all.merge(part, &mut room);
    }
    Ok(cut(all, d + outputs, cross))
}

/// The first row that counts, as (x | y | 0).
fn first_counted(problem: &Problem, p: usize) -> Vec<f64> {
    let i = problem.weight.iter().position(|&s| s > 0.0).unwrap_or(0);
    let mut row = Vec::new();
    load(problem, &Pick::Run(i..i + 1), &vec![0.0; p], &mut row, &mut Vec::new());
    row
}

/// The block (x | y | 0) from `origin` on, and its weights.
fn load(problem: &Problem, pick: &Pick, origin: &[f64], block: &mut Vec<f64>, s: &mut Vec<f64>) {
    let (d, outputs) = (problem.rows.d(), problem.outputs);
    block.resize(pick.len() * origin.len(), 0.0);
    problem.rows.fill(pick, origin.len(), block);
    let Pick::Run(run) = pick else { return };
    for (row, y) in block.chunks_exact_mut(origin.len()).zip(problem.y[run.start * outputs..].chunks_exact(outputs)) {
        row[d..d + outputs].copy_from_slice(y);
        for (z, origin) in row.iter_mut().zip(origin) {
            *z -= origin;
        }
    }
    s.clear();
    if !problem.weight.is_empty() {
        s.extend_from_slice(&problem.weight[run.clone()]);
    }
}

/// Sets `shift` to the block's mean, or nearly.
fn about(block: &[f64], s: &[f64], shift: &mut [f64], range: &mut [f64]) {
    shift.fill(0.0);
    let mut count = 0.0;
    for (i, row) in block.chunks_exact(shift.len()).enumerate() {
        if s.get(i).is_some_and(|&s| s == 0.0) {
            continue;
        }
        count += 1.0;
        for ((shift, z), range) in shift.iter_mut().zip(row).zip(&mut *range) {
            *shift += z;
            *range = if z.abs() > *range { z.abs() } else { *range };
        }
    }
    let part = if count > 0.0 { 1.0 / count } else { 0.0 };
    shift.iter_mut().for_each(|shift| *shift *= part);
}

/// Takes `shift` off every row, and sums what is left, weighted.
fn centre(block: &mut [f64], s: &[f64], shift: &[f64], left: &mut [f64]) {
    left.fill(0.0);
    for (i, row) in block.chunks_exact_mut(shift.len()).enumerate() {
        let s = s.get(i).copied().unwrap_or(1.0);
        for ((z, shift), left) in row.iter_mut().zip(shift).zip(&mut *left) {
            *z -= shift;
            *left += s * *z;
        }
    }
}

fn squares(block: &[f64], s: &[f64], sums: &mut [f64]) {
    for (i, row) in block.chunks_exact(sums.len()).enumerate() {
        let s = s.get(i).copied().unwrap_or(1.0);
        for (sum, z) in sums.iter_mut().zip(row) {
            *sum += s * z * z;
        }
    }
}

/// Without the columns that only filled the lanes.
fn cut(mut all: Moments, p: usize, cross: bool) -> Moments {
    let wide = all.mean.len();
    all.products = match cross {
        true => all.products.chunks_exact(wide).take(p).flat_map(|row| row[..p].iter().copied()).collect(),
        false => all.products[..p].to_vec(),
    };
    all.origin.truncate(p);
    all.mean.truncate(p);
    all.range.truncate(p);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dense;
    use crate::observe::Alone;

    #[test]
    fn moments_are_the_sums_about_the_mean_for_any_offset_threads_and_set() {
        let (n, d, outputs) = (3000, 3, 2);
        let value = |i: usize, j: usize| ((i * 7 + j * 13) as f64 * 0.37).sin() + (i as f64 / 500.0);
        let offsets = [0.0, 1e8, -3.0, 1e8, 2.0];
        let z = |i: usize, j: usize| if j == 2 { 0.1 } else { offsets[j] + value(i, j) };
        let x: Vec<f64> = (0..n * d).map(|at| z(at / d, at % d)).collect();
        let y: Vec<f64> = (0..n * outputs).map(|at| z(at / outputs, d + at % outputs)).collect();
        let s: Vec<f64> = (0..n).map(|i| (i % 4) as f64).collect(); // the first row that counts is another
        let rows = Dense::new(&x, d).unwrap();
        let p = d + outputs;
        for weight in [&[][..], &s] {
            let problem = Problem::new(&rows, n, &y, outputs, weight).unwrap();
            let s = |i: usize| weight.get(i).copied().unwrap_or(1.0);
            let total: f64 = (0..n).map(s).sum();
            // about the offset, which is exact
            let from = |i: usize, j: usize| z(i, j) - if j == 2 { 0.1 } else { offsets[j] };
            let mean: Vec<f64> = (0..p).map(|j| (0..n).map(|i| s(i) * from(i, j)).sum::<f64>() / total).collect();
            let mut alone = Alone;
            let mut watch = Watch::new(&mut alone);
            let mut seen = Vec::new();
            for (set, threads) in Set::available().flat_map(|set| [(set, 1), (set, 3)]) {
                let found = moments(&problem, true, set, threads, &mut watch).unwrap();
                assert_eq!(found.weight, total);
                for j in 0..p {
                    let first = usize::from(!weight.is_empty());
                    let away = found.mean[j] + from(first, j) - mean[j];
                    assert!(away.abs() <= 1e-12, "{j} {away}");
                    for k in j..p {
                        let sum: f64 = (0..n).map(|i| s(i) * (from(i, j) - mean[j]) * (from(i, k) - mean[k])).sum();
                        assert!((found.products[j * p + k] - sum).abs() <= 1e-9 + 1e-12 * sum.abs(), "{j} {k}");
                    }
                }
                assert_eq!((found.products[2 * p + 2], found.range[2], found.mean[2]), (0.0, 0.0, 0.0));
                let squares = moments(&problem, false, set, threads, &mut watch).unwrap();
                for j in 0..p {
                    let square = found.products[j * p + j];
                    assert!((squares.products[j] - square).abs() <= 1e-12 * square);
                }
                seen.push((set, found));
            }
            assert!(
                seen.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1),
                "threads change bits"
            );
        }
    }
}
