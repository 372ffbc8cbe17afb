//! Source: rows brought together in the order of their visits, and all of a step by each that does not wait for the
//! steps before.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::{Set, TURN};
use crate::pace::Pace;
use crate::row::Stored;
use crate::shuffle::Order;
use crate::verdict::Told;

/// Bytes of rows that are brought together: about what the second-level cache holds.
const CHUNK_BYTES: usize = 1 << 20;
/// Rows of them at most, and at least.
const CHUNK: usize = 1 << 15;
const LEAST_CHUNK: usize = 4 * TURN;

/// What chunks are made of.
pub struct Source<'a, B> {
    pub table: &'a B,
    pub told: &'a Told<'a>,
    /// Of rows with y > 0, and of the others.
    pub class_weight: (f64, f64),
    pub pace: Pace,
    /// Whether rows may take turns.
    pub by_turns: bool,
    pub set: Set,
}

/// Rows brought together in the order of their visits, and all of a step that does not wait for the steps before.
pub struct Chunk<B> {
    /// Those in the order, kept back ones among them; and, if there are any, those that are left to train on.
    pub order: Vec<u32>,
    rows: Vec<u32>,
    pub table: B,
    pub y: Vec<f64>,
    /// Empty for all ones.
    pub weight: Vec<f64>,
    /// Empty if it is too soon to know.
    pub rates: Vec<f64>,
    /// What l2 leaves of coefficients, if there is any.
    pub left: Vec<f64>,
}

impl<B: Default> Default for Chunk<B> {
    fn default() -> Self {
        let (order, rows, table) = (Vec::new(), Vec::new(), B::default());
        let (y, weight, rates, left) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Chunk { order, rows, table, y, weight, rates, left }
    }
}

impl<B: Stored> Source<'_, B> {
    /// Rows of a chunk.
    pub fn size(&self) -> usize {
        let bytes = self.table.width().max(1) * size_of::<f64>();
        (CHUNK_BYTES / bytes).clamp(LEAST_CHUNK, CHUNK) / TURN * TURN
    }

    /// The rows in these places of the order.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn bring(&self, order: Order, places: Range<usize>, chunk: &mut Chunk<B::Together>) -> Result<(), Error> {
        let first = places.start;
        let (Told { y, weight, held }, of_class, set) = (*self.told, self.class_weight, self.set);
        order.part(places, &mut chunk.order);
        let mut rows = &chunk.order;
        if !held.is_empty() {
            chunk.rows.clear();
            chunk.rows.extend(chunk.order.iter().filter(|&&i| !held[i as usize]));
            rows = &chunk.rows;
        }
        let bound = self.by_turns.then_some(self.pace.penalty.l2);
        chunk.y.clear();
        self.table.bring(set, rows, bound, (y, &mut chunk.y), &mut chunk.table)?;
        chunk.weight.clear();
        if !weight.is_empty() || of_class != (1.0, 1.0) {
            chunk.weight.extend(rows.iter().map(|&i| {
                let of_class = if y[i as usize] > 0.0 { of_class.0 } else { of_class.1 };
                of_class * weight.get(i as usize).copied().unwrap_or(1.0)
            }));
        }
        let count = rows.len();
        chunk.rates.clear();
        if held.is_empty() {
            let t = self.pace.t + first as f64; // else nobody knows yet how many rows train before these
            self.pace.look_ahead(set, t, count, &mut chunk.rates, &mut chunk.left);
        }
        Ok(())
    }
}
