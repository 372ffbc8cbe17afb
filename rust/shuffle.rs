//! Shuffle: the orders in which scikit-learn visits rows. Every epoch begins the same small generator anew and swaps
//! the rows of the order before it, so that from the second epoch on an order is that one taken by the first.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::{self, prefetch, prefetch_line};
use crate::observe::Watch;

/// Orders of rows, epoch by epoch.
pub struct Orders {
    /// Of the generator; `None` leaves the rows as they are.
    seed: Option<u32>,
    /// The first epoch's order, from the second on, that of the epoch before (or of the first), and room for the next.
    first: Vec<u32>,
    before: Vec<u32>,
    now: Vec<u32>,
    epochs: u64,
}

/// The order of an epoch, to be had in parts: now_i = before_(first_i), or `before` where `first` is empty.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    first: &'a [u32],
    before: &'a [u32],
}

/// Places ahead that are asked for.
const AHEAD: usize = 64;

impl Order<'_> {
    /// Sets `rows` to those in these places.
    pub fn part(&self, places: Range<usize>, rows: &mut Vec<u32>) {
        rows.clear();
        match self.first.get(places.clone()) {
            Some(first) => {
                let soon = self.first[places.start..].get(AHEAD..).unwrap_or(&[]);
                let (early, late) = first.split_at(first.len().min(soon.len()));
                rows.extend(early.iter().zip(soon).map(|(&i, &soon)| {
                    prefetch_line(&self.before[soon as usize]);
                    self.before[i as usize]
                }));
                rows.extend(late.iter().map(|&i| self.before[i as usize]));
            }
            None => rows.extend_from_slice(&self.before[places]),
        }
    }
}

impl Orders {
    /// Of `n` rows.
    ///
    /// # Errors
    /// If there is no memory, or there are too many rows to be numbered.
    pub fn new(n: usize, seed: Option<u32>) -> Result<Self, Error> {
        let count = u32::try_from(n)
            .map_err(|_| Error::argument("X", format!("{n} rows"), format!("at most {} rows", u32::MAX)))?;
        let mut before = room(n)?;
        before.extend(0..count);
        Ok(Orders { seed, first: Vec::new(), before, now: Vec::new(), epochs: 0 })
    }

    /// The next epoch's order, and where its parts are to be put, if it is kept.
    ///
    /// # Errors
    /// What `watch` answers, and lack of memory.
    pub fn next(&mut self, watch: &mut Watch) -> Result<(Order<'_>, &mut [u32]), Error> {
        if let Some(seed) = self.seed {
            match self.epochs {
                0 => shuffle(seed, &mut self.before, watch)?,
                1 => {
                    (self.first, self.now) = (room(self.before.len())?, room(self.before.len())?);
                    self.first.extend_from_slice(&self.before);
                    self.now.resize(self.before.len(), 0);
                }
                _ => std::mem::swap(&mut self.now, &mut self.before),
            }
            self.epochs += 1;
        }
        Ok((Order { first: &self.first, before: &self.before }, &mut self.now))
    }
}

fn room(n: usize) -> Result<Vec<u32>, Error> {
    let mut rows = Vec::new();
    rows.try_reserve_exact(n).map_err(|_| Error::Memory { what: "the order of rows", bytes: n.saturating_mul(4) })?;
    kernels::ask_for_huge_pages(rows.spare_capacity_mut());
    Ok(rows)
}

/// Marsaglia's xorshift with 32 bits (2003), of which the lower 31 are used, and Fisher-Yates from the front.
fn shuffle(seed: u32, order: &mut [u32], watch: &mut Watch) -> Result<(), Error> {
    let mut x = if seed == 0 { 1 } else { seed };
    let n = order.len();
    let (mut drawn, mut partners) = ([0; AHEAD], [0; AHEAD]);
    for first in (0..n.saturating_sub(1)).step_by(AHEAD) {
        watch.tick(AHEAD)?;
        let swaps = first..(first + AHEAD).min(n - 1);
        for drawn in &mut drawn {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            *drawn = (x & 0x7fff_ffff) as i32;
        }
        for (k, (partner, &drawn)) in partners.iter_mut().zip(&drawn).enumerate() {
            let (drawn, left) = (f64::from(drawn), n.wrapping_sub(first + k) as u32);
            // right, as both are below 2^32: a quotient below a whole number is at least 1 / left below, and rounding
            // less
            let whole = (drawn / f64::from(left)) as i32;
            *partner = first + k + (drawn - f64::from(whole) * f64::from(left)) as usize;
        }
        for &partner in &partners[..swaps.len()] {
            prefetch(&order[partner..=partner]);
        }
        for (i, &partner) in swaps.zip(&partners) {
            order.swap(i, partner);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Alone;

    /// The next order, part by part.
    fn all(orders: &mut Orders, watch: &mut Watch) -> Vec<u32> {
        let (n, mut rows, mut seen) = (orders.before.len(), Vec::new(), Vec::new());
        let (order, kept) = orders.next(watch).unwrap();
        for from in (0..n).step_by(10) {
            order.part(from..n.min(from + 10), &mut rows);
            if !kept.is_empty() {
                kept[from..][..rows.len()].copy_from_slice(&rows);
            }
            seen.extend_from_slice(&rows);
        }
        seen
    }

    #[test]
    fn orders_are_those_of_one_swap_after_the_other() {
        for n in [0, 1, 2, 31, 63, 64, 65, 66, 129, 1000] {
            for seed in [0, 1, 12345, u32::MAX] {
                let (mut alone, mut expected): (Alone, Vec<u32>) = (Alone, (0..n).collect());
                let (mut watch, mut orders) = (Watch::new(&mut alone), Orders::new(n as usize, Some(seed)).unwrap());
                for epoch in 0..4 {
                    let mut x = seed.max(1);
                    for i in 0..n.saturating_sub(1) {
                        x ^= x << 13;
                        x ^= x >> 17;
                        x ^= x << 5;
                        expected.swap(i as usize, (i + (x % (1 << 31)) % (n - i)) as usize);
                    }
                    assert_eq!(all(&mut orders, &mut watch), expected, "{n} {seed} {epoch}");
                }
                let mut plain = Orders::new(n as usize, None).unwrap();
                assert!((0..2).all(|_| all(&mut plain, &mut watch).into_iter().eq(0..n)));
            }
        }
    }
}
