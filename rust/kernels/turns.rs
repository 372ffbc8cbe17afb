//! Turns: rows that step one after the other, eight at a time, and what is known of them before they do.

use super::lanes::LANES;
use super::{LINE, Lines, Set, naive, online, run};
use crate::error::{Error, zeros};

/// What there is no memory for, if so.
const WHAT: &str = "the next rows";

/// Rows that take their steps together.
pub const TURN: usize = 8;

/// What the rows of a turn are to each other, which no step changes.
#[derive(Debug, Clone, Default)]
#[repr(C, align(64))]
pub struct Bond {
    /// x_q . x_r for q in turn; 0 of r <= q.
    pub shared: [[f64; TURN]; TURN - 1],
    /// |x_r|^2, if asked for.
    pub square: [f64; TURN],
    /// Whether all of `shared` are numbers.
    pub sound: bool,
}

/// Rows in whole lanes, zeros behind each, and the bonds of those that take turns.
#[derive(Debug, Default)]
pub struct Bound {
    /// The rows, from where a line of the caches begins.
    values: Vec<f64>,
    start: usize,
    pub(super) bonds: Vec<Bond>,
    d: usize,
    lanes: usize,
    count: usize,
}

impl Bound {
    /// Whether rows of d numbers take turns, for so many outputs.
    pub fn takes(set: Set, d: usize, outputs: usize) -> bool {
        d <= (if outputs == 1 { online::SHORT } else { online::SHORT_OF_MANY }) && set != Set::NAIVE
    }

    /// Numbers from row to row.
    pub fn stride(d: usize) -> usize {
        d.next_multiple_of(LANES)
    }

    /// Room for so many rows of d numbers, each at the beginning of `stride` of them. All are to be of one d.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn room(&mut self, count: usize, d: usize) -> Result<&mut [f64], Error> {
        (self.d, self.lanes, self.count) = (d, Self::stride(d) / LANES, count);
        let (turns, numbers) = (count.div_ceil(TURN), count * Self::stride(d));
        let all = turns * TURN * Self::stride(d);
        if self.values.len() < all + LANES {
            self.values = zeros(all + LANES, WHAT)?;
            self.start = self.values.as_ptr().align_offset(LINE).min(LANES);
        }
        let bytes = turns * size_of::<Bond>();
        let more = turns.saturating_sub(self.bonds.len());
        self.bonds.try_reserve(more).map_err(|_| Error::Memory { what: WHAT, bytes })?;
        self.bonds.resize(turns, Bond::default());
        let (rows, rest) = self.values[self.start..].split_at_mut(numbers);
        rest[..all - numbers].fill(0.0);
        Ok(rows)
    }

    /// In lanes, whole turns.
    fn in_lanes(&self) -> &[[f64; LANES]] {
        &self.values[self.start..].as_chunks().0[..self.count.next_multiple_of(TURN) * self.lanes]
    }

    /// Finds the bonds of the rows that were put there; with `squares` |x|^2, too.
    pub fn bind(&mut self, set: Set, squares: bool) {
        let mut bonds = std::mem::take(&mut self.bonds);
        let (rows, d, out) = (self.in_lanes(), self.d, &mut bonds[..]);
        match set {
            Set::NAIVE => naive::bind(rows.as_flattened(), Self::stride(d), out),
            _ => run(set, online::Bind { rows, d, squares, bonds: out }),
        }
        self.bonds = bonds;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rows, every `stride` numbers.
    pub fn rows(&self) -> &[f64] {
        &self.values[self.start..][..self.count * Self::stride(self.d)]
    }

    /// At most so many rows from one on; none if that is not the first of a turn.
    pub fn turns(&self, from: usize, most: usize) -> Option<Queue<'_>> {
        let (rows, bonds) = (self.in_lanes().get(from * self.lanes..)?, self.bonds.get(from / TURN..)?);
        let count = most.min(self.count.checked_sub(from)?);
        from.is_multiple_of(TURN).then_some(Queue { rows, bonds, lanes: self.lanes, count })
    }
}

/// Rows with their bonds: see `Bound`.
#[derive(Debug, Clone, Copy)]
pub struct Queue<'a> {
    pub(super) rows: &'a [[f64; LANES]],
    pub(super) bonds: &'a [Bond],
    pub(super) lanes: usize,
    pub(super) count: usize,
}

impl<'a> Queue<'a> {
    /// The rows as they lie.
    pub fn lines(&self) -> Lines<'a> {
        let stride = self.lanes * LANES;
        Lines::Together { values: &self.rows.as_flattened()[..self.count * stride], stride, beyond: 0 }
    }

    /// What those of the first turn are to each other.
    pub fn bond(&self) -> Option<&'a Bond> {
        self.bonds.first()
    }
}

/// A few rows that take a step each, one after the other, as their formula sees them. Every lane of numbers has a line
/// of the caches to itself, so that nobody waits for what was stored across two.
#[derive(Debug, Clone, Default)]
#[repr(C, align(64))]
pub struct Turn {
    /// x_r . w + b before the first of the steps; after `steps`, what each row found when its turn came.
    pub raw: [f64; TURN],
    /// By how much a step of row q lowers what row r > q finds: x_q . x_r, scaled as coefficients are, and 1 more with
    /// an intercept. 0 of rows before.
    pub shared: [[f64; TURN]; TURN],
    /// |x_r|^2, and 1 more with an intercept, if asked for.
    pub square: [f64; TURN],
    /// To be set: w -= step_r x_r, its scale being multiplied in, and b -= step_r.
    pub steps: [f64; TURN],
    /// The first of them, and how many there are.
    pub first: usize,
    pub count: usize,
    /// Whether a row before them left its piece, so that others will.
    pub strays: bool,
}

impl Turn {
    /// Puts what is known of each of the rows in its place among all.
    #[inline]
    pub fn keep(&self, numbers: &[f64; TURN], all: &mut [f64]) {
        let all = &mut all[self.first..];
        match all.first_chunk_mut() {
            Some(all) if self.count == TURN => *all = *numbers,
            _ => all[..self.count].copy_from_slice(&numbers[..self.count]),
        }
    }
}

/// What steps of rows with several outputs come to, a turn of them.
#[derive(Debug, Clone, Default)]
#[repr(C, align(64))]
pub struct Moves {
    /// How far a step of row q moves what row r > q finds.
    pub shared: [[f64; TURN]; TURN],
    /// What the slopes of each row are multiplied with to be its step, besides its weight.
    pub scales: [f64; TURN],
}

/// Steps that go straight from kink to kink. To be inlined always, as they are compiled for the lanes of an instruction
/// set.
pub trait Pieces {
    /// Of row r on the piece where `near` is, and by how much it grows with the prediction there.
    fn step(&self, near: f64, r: usize) -> f64;
    fn bend(&self, near: f64, r: usize) -> f64;
    /// Less than so far from there that is right.
    fn reach(&self, near: f64, r: usize) -> f64;
}

/// Steps as series of K terms, each around what its row was predicted to be before the turn.
pub trait Series<const K: usize> {
    /// How far from there they are right.
    const REACH: f64;

    /// Of row r; to be inlined always, as it is compiled for the lanes of an instruction set.
    fn around(&self, near: f64, r: usize) -> [f64; K];
}

impl Series<0> for () {
    const REACH: f64 = 0.0;

    #[inline(always)]
    fn around(&self, _near: f64, _r: usize) -> [f64; 0] {
        []
    }
}
