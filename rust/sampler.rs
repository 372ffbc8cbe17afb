//! Sampler: which rows make the next batch. The order is NumPy's permutation, drawn by whoever holds the generator.

use crate::data::Pick;
use crate::error::Error;
use crate::observe::LookUp;

/// How the rows are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shuffle {
    /// As they lie.
    No,
    /// One permutation for all epochs, drawn before the first.
    Once,
    /// A fresh permutation every epoch.
    EveryEpoch,
}

/// Rows from which it is worth a thread to draw ahead.
pub const WORTH: usize = 1 << 15;

/// Whoever draws orders.
pub trait Permute: Send + Sync {
    /// Fills the buffer with a uniform permutation of 0..n.
    ///
    /// # Errors
    /// If none could be drawn.
    fn draw(&mut self, order: &mut Vec<u32>) -> Result<(), Error>;

    /// Whether `ahead` does anything.
    fn draws_ahead(&self) -> bool {
        false
    }

    /// Draws the next one already, on any thread, while the latest is in use; `look_up` may end that.
    fn ahead(&self, _look_up: &mut LookUp) {}
}

impl<F: FnMut(&mut Vec<u32>) -> Result<(), Error> + Send + Sync> Permute for F {
    fn draw(&mut self, order: &mut Vec<u32>) -> Result<(), Error> {
        self(order)
    }
}

/// The order of each epoch.
pub struct Sampler<'a> {
    n: usize,
    shuffle: Shuffle,
    order: Vec<u32>,
    permute: &'a mut dyn Permute,
}

impl<'a> Sampler<'a> {
    /// Orders of `n` rows; `permute` is asked for just the permutations that are used.
    pub fn new(n: usize, shuffle: Shuffle, permute: &'a mut dyn Permute) -> Self {
        Sampler { n, shuffle, order: Vec::new(), permute }
    }

    /// The next epoch's order; its batches are the blocks of `size`, the last of which may be short. And who can draw
    /// the one after it meanwhile, if that is another and worth it.
    ///
    /// # Errors
    /// If no permutation could be drawn, or what was drawn is none of n rows.
    pub fn epoch(&mut self) -> Result<(Pick<'_>, Option<&dyn Permute>), Error> {
        let draw = match self.shuffle {
            Shuffle::No => false,
            Shuffle::Once => self.order.is_empty(),
            Shuffle::EveryEpoch => true,
        };
        if draw {
            self.permute.draw(&mut self.order)?;
            let last = self.order.iter().fold(0, |last, &i| i.max(last)); // without a branch a row: steps wait for it
            if self.order.len() != self.n || last as usize >= self.n {
                return Err(Error::argument("rng", "something else", "a generator whose permutation(n) permutes 0..n"));
            }
        }
        let order = if self.shuffle == Shuffle::No { Pick::Run(0..self.n) } else { Pick::at(&self.order) };
        let worth = self.shuffle == Shuffle::EveryEpoch && self.n >= WORTH && self.permute.draws_ahead();
        Ok((order, worth.then_some(&*self.permute)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(shuffle: Shuffle, count: usize) -> (Vec<Vec<usize>>, u32) {
        let mut draws = 0;
        let mut permute = |order: &mut Vec<u32>| {
            draws += 1;
            order.clear();
            order.extend((0..5).map(|i| (2 * i + draws) % 5));
            Ok(())
        };
        let mut sampler = Sampler::new(5, shuffle, &mut permute);
        let mut seen = Vec::new();
        for _ in 0..count {
            let (index, mut row) = ([0.0, 1.0, 2.0, 3.0, 4.0], Vec::new());
            let mut batches: Vec<Vec<usize>> = Vec::new();
            for batch in sampler.epoch().unwrap().0.blocks(2) {
                batch.gather(&index, 1, &mut row);
                batches.push(row.iter().map(|&i| i as usize).collect());
            }
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
            seen.push(batches.concat());
        }
        drop(sampler);
        (seen, draws)
    }

    #[test]
    fn every_way_of_shuffling_draws_only_what_it_uses() {
        let (orders, draws) = epochs(Shuffle::No, 2);
        assert_eq!((orders, draws), (vec![vec![0, 1, 2, 3, 4]; 2], 0));
        let (orders, draws) = epochs(Shuffle::Once, 3);
        assert_eq!((orders, draws), (vec![vec![1, 3, 0, 2, 4]; 3], 1));
        let (orders, draws) = epochs(Shuffle::EveryEpoch, 2);
        assert_eq!((orders, draws), (vec![vec![1, 3, 0, 2, 4], vec![2, 4, 1, 3, 0]], 2));
    }

    /// Draws ahead, so it says.
    struct Ready;

    impl Permute for Ready {
        fn draw(&mut self, order: &mut Vec<u32>) -> Result<(), Error> {
            order.clear();
            order.extend(0..WORTH as u32);
            Ok(())
        }

        fn draws_ahead(&self) -> bool {
            true
        }
    }

    #[test]
    fn the_next_order_is_drawn_ahead_where_there_is_one_and_it_takes_long() {
        let ahead = |n: usize, shuffle: Shuffle, permute: &mut dyn Permute| {
            Sampler::new(n, shuffle, permute).epoch().map(|(_, permute)| permute.is_some())
        };
        assert_eq!(ahead(WORTH, Shuffle::EveryEpoch, &mut Ready), Ok(true));
        assert_eq!(ahead(WORTH, Shuffle::Once, &mut Ready), Ok(false));
        assert_eq!(ahead(WORTH, Shuffle::No, &mut Ready), Ok(false));
        let mut closure = |order: &mut Vec<u32>| Ready.draw(order);
        assert_eq!(ahead(WORTH, Shuffle::EveryEpoch, &mut closure), Ok(false));
        let mut short = |order: &mut Vec<u32>| {
            order.clear();
            order.push(0);
            Ok(())
        };
        assert_eq!(ahead(1, Shuffle::EveryEpoch, &mut short), Ok(false));
    }

    #[test]
    fn a_false_permutation_is_refused() {
        for (drawn, accepted) in [(vec![1, 0], true), (vec![0, 7], false), (vec![0], false), (vec![], false)] {
            let mut permute = |order: &mut Vec<u32>| {
                order.clone_from(&drawn);
                Ok(())
            };
            let mut sampler = Sampler::new(2, Shuffle::EveryEpoch, &mut permute);
            assert_eq!(sampler.epoch().is_ok(), accepted, "{drawn:?}");
        }
    }
}
