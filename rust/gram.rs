//! Gram: weight, mean and products of the columns (x | y) about their mean, which is all that a squared loss sees of
//! its rows. Block by block, each about its own mean; blocks and parts are merged by Chan, Golub and LeVeque, "Updating
//! Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), so an offset costs no digits.

use std::ops::Range;

use crate::data::{Pick, Problem};
use crate::error::{Error, zeros};
use crate::kernels::{self, Eight, Lines, Place, Set, Summed, Sums};
use crate::observe::Watch;
use crate::sparse::Sparse;
use crate::threads::{each_part, parts};

/// Numbers of a block, which is read several times: where rows are short it stays in the first-level cache, else in the
/// second.
const BLOCK: usize = 1 << 14;
/// Numbers of one of very long rows, of which eight are taken all the same.
const WIDE: usize = 1 << 18;

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
    /// (p): whether any z is not the origin
    pub varies: Vec<bool>,
}

impl Moments {
    fn none(origin: &[f64], size: usize) -> Result<Self, Error> {
        let (p, products) = (origin.len(), zeros(size, "products of columns")?);
        Ok(Moments { weight: 0.0, origin: origin.to_vec(), mean: vec![0.0; p], products, varies: vec![false; p] })
    }

    /// Adds a b^T, or its diagonal.
    fn add(&mut self, a: &[f64], b: &[f64]) {
        let p = self.mean.len();
        if self.products.len() == p {
            for ((product, a), b) in self.products.iter_mut().zip(a).zip(b) {
                *product += a * b;
            }
            return;
        }
        for (j, row) in self.products.chunks_exact_mut(p).enumerate() {
            for (product, b) in row[j..].iter_mut().zip(&b[j..]) {
                *product += a[j] * b;
            }
        }
    }

    /// Moves the mean to that of rows of this `weight` and `mean` as well, whose products are in `self` already.
    fn take_in(&mut self, weight: f64, mean: &[f64]) {
        if weight == 0.0 {
            return;
        }
        let share = weight / (self.weight + weight);
        let apart: Vec<f64> = mean.iter().zip(&self.mean).map(|(theirs, mine)| theirs - mine).collect();
        if self.weight > 0.0 {
            let weighted: Vec<f64> = apart.iter().map(|apart| self.weight * share * apart).collect();
            self.add(&weighted, &apart);
        }
        for (mine, apart) in self.mean.iter_mut().zip(&apart) {
            *mine += share * apart;
        }
        self.weight += weight;
    }

    /// The moments of both together.
    fn merge(&mut self, other: &Moments) {
        for (mine, theirs) in self.products.iter_mut().zip(&other.products) {
            *mine += theirs;
        }
        for (mine, theirs) in self.varies.iter_mut().zip(&other.varies) {
            *mine |= theirs;
        }
        self.take_in(other.weight, &other.mean);
    }
}

/// Share of a column's squares that the distance of its mean may take, before the part is summed again about its mean.
const FAR: f64 = 0.99;

/// The moments of the columns (x | y) of a problem; `cross` asks for the products of different columns too.
///
/// # Errors
/// What `watch` answers, and lack of memory.
pub fn moments(problem: &Problem, cross: bool, set: Set, threads: usize, watch: &mut Watch) -> Result<Moments, Error> {
    if let (Some(rows), false) = (problem.rows.sparse(), cross) {
        return of_sparse(problem, rows, watch);
    }
    let p = problem.rows.d() + problem.outputs;
    let size = if cross { p.saturating_mul(p) } else { p };
    let first = typical(problem);
    let mut block = Block::new(p);
    block.load(problem, set, &Pick::Run(first..first + 1));
    let origin: Vec<f64> = block.z.iter().map(|column| column.0[0]).collect();
    let each = if cross { p * p / 2 } else { 4 * p };
    // at most a quarter as many products as there are numbers in the rows
    let parts = each_part(parts(problem.n, 4 * p), each, threads, watch, |part, watch| {
        of_part(problem, part, &origin, size, set, watch)
    })?;
    let mut all = Moments::none(&origin, size)?;
    for part in &parts {
        all.merge(part);
        watch.tick(size)?;
    }
    Ok(all)
}

/// A row of no less than the mean weight: another may be an outlier that hardly counts.
fn typical(problem: &Problem) -> usize {
    problem.weight.iter().position(|&s| s >= problem.mean_weight).unwrap_or(0)
}

/// The same without the products of different columns, at a cost of the numbers that sparse rows hold.
fn of_sparse(problem: &Problem, rows: &Sparse, watch: &mut Watch) -> Result<Moments, Error> {
    let Problem { y, weight, n, outputs, .. } = *problem;
    let (d, first) = (rows.d(), typical(problem));
    let s = |i: usize| weight.get(i).copied().unwrap_or(1.0);
    let whole = if weight.is_empty() { n as f64 } else { weight.iter().sum() };
    let mut origin = zeros(d + outputs, "the first row")?;
    rows.write(first, &mut origin);
    origin[d..].copy_from_slice(&y[first * outputs..][..outputs]);
    let ([mut mean, mut products], mut varies) = rows.moments(weight, whole, &origin[..d], watch)?;
    for k in 0..outputs {
        let away = |i: usize| y[i * outputs + k] - origin[d + k];
        let centre = (0..n).map(|i| s(i) * away(i)).sum::<f64>() / whole;
        mean.push(centre);
        products.push((0..n).map(|i| s(i) * (away(i) - centre).powi(2)).sum());
        varies.push((0..n).any(|i| away(i) != 0.0));
        watch.tick(4 * n)?;
    }
    Ok(Moments { weight: whole, origin, mean, products, varies })
}

/// The moments of some rows, summed about the mean of the first of them; once more where that was too far from the
/// mean.
fn of_part(
    problem: &Problem,
    part: Range<usize>,
    origin: &[f64],
    size: usize,
    set: Set,
    watch: &mut Watch,
) -> Result<Moments, Error> {
    let p = origin.len();
    let rows = (BLOCK / p).clamp(96, 128).min((WIDE / p).max(8)) / 8 * 8;
    let mut block = Block::new(p);
    block.away.copy_from_slice(origin); // to the last bit where a column is constant
    block.load(problem, set, &Pick::Run(part.start..part.end.min(part.start + rows)));
    block.move_to_mean(block.weight());
    let mut sum = Moments::none(origin, size)?;
    for again in [true, false] {
        let mut weight = 0.0;
        sum.products.fill(0.0);
        for pick in Pick::Run(part.clone()).blocks(rows) {
            block.load(problem, set, &pick);
            if size > p {
                let (next, mut nothing) = (block.next(problem.n, &pick), Vec::new());
                let soon = next.as_ref().map(|next| match problem.rows.short(next) {
                    Some(lines) => place(&lines),
                    None => place(&problem.rows.block(next, &mut nothing)),
                });
                kernels::products(set, &block.z, p, &block.weights, &mut sum.products, soon.unwrap_or_default());
            }
            weight += block.weight();
            watch.tick(pick.len() * size / 2)?;
        }
        if weight == 0.0 {
            sum.products.fill(0.0);
            return Ok(sum);
        }
        let left: Vec<f64> = block.sums.iter().map(|sums| sums.sum).collect();
        let mean: Vec<f64> = left.iter().map(|left| left / weight).collect();
        if again && (0..p).any(|j| left[j] * mean[j] > FAR * block.sums[j].square) {
            block.move_to_mean(weight);
            continue;
        }
        let diagonal = sum.products.iter_mut().step_by(if size > p { p + 1 } else { 1 });
        diagonal.zip(&block.sums).for_each(|(product, sums)| *product = sums.square);
        sum.varies = (0..p).map(|j| block.sums[j].any || block.away[j] != origin[j]).collect();
        // what was summed about `away` is moved to the mean
        sum.add(&left.iter().map(|left| -left).collect::<Vec<_>>(), &mean);
        let from_origin: Vec<f64> = (0..p).map(|j| block.away[j] - origin[j] + mean[j]).collect();
        sum.take_in(weight, &from_origin);
        break;
    }
    Ok(sum)
}

/// Whether rows lie where they were visited, and others after them.
fn lie_there<T>(lines: &Lines<T>) -> bool {
    matches!(lines, Lines::Together { beyond: 1.., .. })
}

/// Where some rows lie.
fn place<T>(lines: &Lines<T>) -> Place {
    match lines {
        Lines::Together { values, .. } => Place::of(values),
        Lines::Apart { .. } => Place::default(),
    }
}

/// Some rows (x | y), `away` taken off them, as columns of eight rows.
struct Block {
    z: Vec<Eight>,
    s: Vec<f64>,
    /// s by eight rows, as z.
    weights: Vec<Eight>,
    away: Vec<f64>,
    /// Of all rows so far.
    sums: Vec<Sums>,
    room: Vec<f64>,
    rows: usize,
    /// Whether they lie where others come next.
    in_place: bool,
}

impl Block {
    fn new(p: usize) -> Self {
        let (away, sums) = (vec![0.0; p], vec![Sums::default(); p]);
        let (z, s, weights, room) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Block { z, s, weights, away, sums, room, rows: 0, in_place: false }
    }

    /// Moves `away` to the mean of the rows so far, of this weight, and forgets them.
    fn move_to_mean(&mut self, weight: f64) {
        for (away, sums) in self.away.iter_mut().zip(&mut self.sums) {
            *away += if weight > 0.0 { sums.sum / weight } else { 0.0 };
            *sums = Sums::default();
        }
    }

    /// The weight of the latest rows.
    fn weight(&self) -> f64 {
        if self.s.is_empty() { self.rows as f64 } else { self.s.iter().sum() }
    }

    /// The rows after these, if they can be asked for where they lie. Twice as many as there are: each is asked for
    /// again with the next block, as the processor forgets some while memory is busy.
    fn next(&self, n: usize, pick: &Pick) -> Option<Pick<'static>> {
        let end = pick.first() + pick.len();
        self.in_place.then(|| Pick::Run(end..(end + 2 * pick.len()).min(n)))
    }

    fn load(&mut self, problem: &Problem, set: Set, pick: &Pick) {
        let (d, outputs, p) = (problem.rows.d(), problem.outputs, self.away.len());
        let Block { z, s, weights, away, sums, room, rows, in_place } = self;
        *rows = pick.len();
        z.resize(rows.div_ceil(8) * p, Eight::default());
        if !problem.weight.is_empty() {
            pick.gather(problem.weight, 1, s);
            weights.clear();
            weights.extend(s.chunks(8).map(|s| Eight(std::array::from_fn(|r| s.get(r).copied().unwrap_or(0.0)))));
        }
        let (of_x, of_y) = sums.split_at_mut(d);
        let columns = Summed { out: z, stride: p, sums: of_x };
        match problem.rows.short(pick) {
            Some(lines) => {
                *in_place = lie_there(&lines);
                kernels::centre(set, lines, &away[..d], weights, columns);
            }
            None => {
                let lines = problem.rows.block(pick, room);
                *in_place = lie_there(&lines);
                kernels::centre(set, lines, &away[..d], weights, columns);
            }
        }
        let (y, beyond) = problem.y[pick.first() * outputs..].split_at(pick.len() * outputs);
        let lines = Lines::Together { values: y, stride: outputs, beyond: beyond.len() };
        kernels::centre(set, lines, &away[d..], weights, Summed { out: &mut z[d..], stride: p, sums: of_y });
    }
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
                    let first = if weight.is_empty() { 0 } else { 2 };
                    let away = found.mean[j] + from(first, j) - mean[j];
                    assert!(away.abs() <= 1e-12, "{j} {away}");
                    for k in j..p {
                        let sum: f64 = (0..n).map(|i| s(i) * (from(i, j) - mean[j]) * (from(i, k) - mean[k])).sum();
                        assert!((found.products[j * p + k] - sum).abs() <= 1e-9 + 1e-12 * sum.abs(), "{j} {k}");
                    }
                }
                assert_eq!((found.products[2 * p + 2], found.varies[2], found.mean[2]), (0.0, false, 0.0));
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
