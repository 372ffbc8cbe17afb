//! Verdict: what rows say of coefficients: a score on those that were kept back, and whether a run went astray.

use crate::error::Error;
use crate::kernels::set;
use crate::loss::{Loss, Told as Targets};
use crate::observe::Watch;
use crate::row::{Row, Table};

/// Rows whose losses are added up together.
const BLOCK: usize = 256;

/// Training rows: which of the table they are, and what they were told to be.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub y: &'a [f64],
    /// Empty for all ones.
    pub weight: &'a [f64],
    /// Rows that are kept back; empty for none.
    pub held: &'a [bool],
}

/// Rows that say when to stop.
pub struct Validation<'a, B> {
    pub table: &'a B,
    pub rows: &'a [usize],
    pub y: &'a [f64],
    /// Empty for all ones.
    pub weight: &'a [f64],
    pub score: Score,
}

/// What is better when larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// 1 - sum s (y - raw)^2 / sum s (y - mean y)^2
    R2,
    /// The share of rows with raw > 0 exactly where y > 0.
    Accuracy,
}

/// The mean loss over the training rows where a run that went astray ended, at its start, and at zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Astray {
    pub end: f64,
    pub start: f64,
    pub zero: f64,
}

impl<B: Table> Validation<'_, B> {
    /// That of coefficients `scale * w` and an intercept.
    ///
    /// # Errors
    /// What `watch` answers.
    pub fn score(&self, w: &[f64], scale: f64, b: f64, watch: &mut Watch) -> Result<f64, Error> {
        let s = |i: usize| self.weight.get(i).copied().unwrap_or(1.0);
        let total: f64 = self.rows.iter().map(|&i| s(i)).sum();
        let mean = self.rows.iter().map(|&i| s(i) * self.y[i]).sum::<f64>() / total;
        let (mut hits, mut off, mut spread) = (0.0, 0.0, 0.0);
        for &i in self.rows {
            let row = self.table.row(i);
            watch.tick(row.len() + 1)?;
            let (raw, y) = (row.dot(w) * scale + b, self.y[i]);
            hits += if (raw > 0.0) == (y > 0.0) { s(i) } else { 0.0 };
            off += s(i) * (y - raw) * (y - raw);
            spread += s(i) * (y - mean) * (y - mean);
        }
        Ok(match self.score {
            Score::Accuracy => hits / total,
            Score::R2 if self.rows.len() < 2 => f64::NAN,
            Score::R2 if spread == 0.0 => f64::from(off == 0.0),
            Score::R2 => 1.0 - off / spread,
        })
    }
}

/// Coefficients and an intercept.
pub type Line<'a> = (&'a [f64], f64);

/// Whether a run ended `factor` times above zero, at least `floor`, and its start: the exact loss is looked at only
/// where the `running` one is high.
///
/// # Errors
/// What `watch` answers.
#[allow(clippy::too_many_arguments, reason = "where a run was, is, and what it is measured by")]
pub fn astray<B: Table>(
    table: &B,
    told: &Told,
    loss: &dyn Loss,
    (factor, floor): (f64, f64),
    running: f64,
    end: Line,
    start: Option<Line>,
    watch: &mut Watch,
) -> Result<Option<Astray>, Error> {
    let enough = running / factor;
    if enough <= floor {
        return Ok(None);
    }
    let zero = mean_loss(table, told, loss, None, Some(enough), watch)?;
    let floor = zero.max(floor);
    if enough <= floor {
        return Ok(None);
    }
    let start = match start {
        Some(_) => mean_loss(table, told, loss, start, None, watch)?,
        None => zero,
    };
    let end = mean_loss(table, told, loss, Some(end), None, watch)?;
    let calm = end <= factor * start.max(floor);
    Ok((!calm).then_some(Astray { end, start, zero }))
}

/// The mean loss over the training rows, of these coefficients or of none; or `enough`, if it is that or more and no row
/// has a loss below 0, as at zero.
fn mean_loss<B: Table>(
    table: &B,
    told: &Told,
    loss: &dyn Loss,
    at: Option<Line>,
    enough: Option<f64>,
    watch: &mut Watch,
) -> Result<f64, Error> {
    let (mut sum, mut rows, set) = (0.0, 0usize, set()?);
    let (mut raw, mut y) = (Vec::new(), Vec::new());
    for first in (0..told.y.len()).step_by(BLOCK) {
        raw.clear();
        y.clear();
        for i in (first..told.y.len().min(first + BLOCK)).filter(|&i| told.held.get(i) != Some(&true)) {
            y.push(told.y[i]);
            raw.push(match at {
                None => 0.0,
                Some((w, b)) => {
                    let row = table.row(i);
                    watch.tick(row.len())?;
                    row.dot(w) + b
                }
            });
        }
        watch.tick(y.len())?;
        sum += loss.sum(set, &mut raw, Targets { y: &y, weight: &[] });
        rows += y.len();
        if let Some(enough) = enough.filter(|enough| sum >= enough * told.y.len() as f64) {
            return Ok(enough);
        }
    }
    Ok(sum / rows.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::loss;
    use crate::observe::Alone;
    use crate::row::Grid;

    #[test]
    fn a_run_is_astray_from_ten_times_the_loss_at_zero_on() {
        let (n, (half, _)) = (700, loss("half_mse", &[]).unwrap());
        let x = vec![1.0; n];
        let y: Vec<f64> = (0..n).map(|i| if i < 650 { 0.25 } else { 40.0 }).collect(); // what counts comes last
        let held: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        for held in [&[][..], &held] {
            let told = Told { y: &y, weight: &[], held };
            let kept: Vec<f64> = (0..n).filter(|&i| held.get(i) != Some(&true)).map(|i| y[i]).collect();
            let zero = kept.iter().map(|y| 0.5 * y * y).sum::<f64>() / kept.len() as f64;
            for (running, floor, far) in [(9.99, 0.0, false), (10.01, 0.0, true), (10.01, 2.0, false)] {
                let (mut alone, table) = (Alone, Grid::new(&x, 1).unwrap());
                let (limits, end) = ((10.0, floor * zero), (&[1e3][..], 0.0));
                let mut watch = Watch::new(&mut alone);
                let found = astray(&table, &told, &*half, limits, running * zero, end, None, &mut watch).unwrap();
                assert_eq!(found.is_some(), far, "{running} {floor}");
                assert!(
                    found.is_none_or(|found| (found.zero - zero).abs() <= 1e-12 * zero && found.start == found.zero)
                );
            }
        }
    }
}
