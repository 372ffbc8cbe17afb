//! Steps: what rows that take turns are multiplied with, and how a loss whose derivative goes straight from kink to kink
//! tells its pieces.

use super::Loss;
use crate::kernels::{Pieces, TURN, Turn};

/// What a derivative is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Levels,
    /// Straight ones, that bend by at most `MOST_BENT`.
    Lines,
    Curve,
}

/// The most that a derivative grows with its prediction where it goes straight.
pub(super) const MOST_BENT: f64 = 2.0;

/// Steps down a loss whose derivative goes straight between its kinks.
pub(super) struct OnPieces<'a, L: ?Sized> {
    pub loss: &'a L,
    pub y: &'a [f64; TURN],
    pub rate: &'a [f64; TURN],
    /// The size that slopes are cut to.
    pub most: f64,
}

impl<L: Loss + ?Sized> Pieces for OnPieces<'_, L> {
    #[inline(always)]
    fn step(&self, near: f64, r: usize) -> f64 {
        self.rate[r] * self.loss.gradient(near, self.y[r])
    }

    #[inline(always)]
    fn bend(&self, near: f64, r: usize) -> f64 {
        self.rate[r] * self.loss.bend(near, self.y[r])
    }

    #[inline(always)]
    fn reach(&self, near: f64, r: usize) -> f64 {
        let left = (self.most - self.loss.gradient(near, self.y[r]).abs()) / MOST_BENT; // until slopes are cut
        let reach = self.loss.reach(near, self.y[r]);
        if left < reach { left } else { reach }
    }
}

/// The first numbers, as many as there are: where they lie, or in some `room`.
#[inline(always)]
pub(super) fn a_turn<'a>(numbers: &'a [f64], room: &'a mut [f64; TURN]) -> &'a [f64; TURN] {
    numbers.first_chunk().unwrap_or_else(|| {
        room[..numbers.len()].copy_from_slice(numbers);
        room
    })
}

/// How far rows step that take turns.
#[derive(Debug, Clone, Copy)]
pub struct Rates<'a> {
    /// What each row's slope is multiplied with, besides its weight.
    pub each: &'a [f64],
    /// The size that slopes are cut to, at least 1.
    pub steepest: f64,
    /// Where it is not 0, steps are divided by 1 + rate times this times (|x|^2 + 1), without intercept no + 1.
    pub implicit: f64,
}

impl<'a> Rates<'a> {
    /// Of the rows from i on.
    pub fn from(self, i: usize) -> Self {
        Rates { each: &self.each[i..], ..self }
    }

    /// What each slope of a turn is multiplied with: where it lies, or in some `room`.
    #[inline(always)]
    pub(super) fn of_turn(&self, turn: &Turn, weight: &[f64], room: &'a mut [f64; TURN]) -> &'a [f64; TURN] {
        if weight.is_empty() && self.implicit == 0.0 {
            return a_turn(self.each, room);
        }
        for (r, (room, rate)) in room.iter_mut().zip(self.each).enumerate() {
            *room = rate * weight.get(r).unwrap_or(&1.0);
            if self.implicit != 0.0 {
                *room /= 1.0 + *room * self.implicit * turn.square[r];
            }
        }
        room
    }
}
