//! Permute: NumPy's permutations in Rust, drawn for the next epoch while this one runs, if somebody has time.
//! `Generator.permutation` over PCG64, bit for bit and end state included: O'Neill, "PCG" (2014), the 128-bit generator
//! with XSL-RR output, and Fisher-Yates from the end by masked rejection over 32-bit halves.

use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::kernels::{self, prefetch};
use crate::observe::LookUp;

/// The state of NumPy's PCG64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pcg64 {
    pub state: u128,
    pub increment: u128,
    /// The upper half of the latest number that was cut in two, and whether it is still to be used.
    pub half: u32,
    pub spare: bool,
}

impl Pcg64 {
    const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

    /// The state of `Generator(PCG64(seed))`: `SeedSequence` spreads the bits of the seed over four words, and draws eight
    /// from them. After O'Neill, "Developing a seed_seq Alternative" (2015).
    pub fn seeded(seed: u128) -> Self {
        /// Hashes with a constant that is another for each word.
        fn hash(word: u32, constant: &mut u32, factor: u32) -> u32 {
            let mixed = word ^ *constant;
            *constant = constant.wrapping_mul(factor);
            let mixed = mixed.wrapping_mul(*constant);
            mixed ^ mixed >> 16
        }
        let mut constant = 0x43b0_d7e5;
        let mut pool: [u32; 4] = std::array::from_fn(|i| hash((seed >> (32 * i)) as u32, &mut constant, 0x931e_8875));
        for from in 0..4 {
            for to in (0..4).filter(|&to| to != from) {
                let other = hash(pool[from], &mut constant, 0x931e_8875).wrapping_mul(0x4973_f715);
                let mixed = pool[to].wrapping_mul(0xca01_f9dd).wrapping_sub(other);
                pool[to] = mixed ^ mixed >> 16;
            }
        }
        let mut constant = 0x8b51_f9dd;
        let drawn: [u128; 8] = std::array::from_fn(|i| hash(pool[i % 4], &mut constant, 0x58f3_8ded).into());
        let number = |at: usize| drawn[at + 1] << 96 | drawn[at] << 64 | drawn[at + 3] << 32 | drawn[at + 2];
        let increment = number(4) << 1 | 1;
        let state = increment.wrapping_add(number(0)).wrapping_mul(Self::MULTIPLIER).wrapping_add(increment);
        Pcg64 { state, increment, half: 0, spare: false }
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(Self::MULTIPLIER).wrapping_add(self.increment);
        ((self.state >> 64) as u64 ^ self.state as u64).rotate_right((self.state >> 122) as u32)
    }

    fn next_u32(&mut self) -> u32 {
        self.spare = !self.spare;
        if !self.spare {
            return self.half;
        }
        let both = self.next_u64();
        self.half = (both >> 32) as u32;
        both as u32
    }

    /// A uniform number of 0..=most.
    fn up_to(&mut self, most: usize) -> usize {
        let mask = usize::MAX >> most.leading_zeros();
        loop {
            let value =
                mask & if most <= u32::MAX as usize { self.next_u32() as usize } else { self.next_u64() as usize };
            if value <= most {
                return value;
            }
        }
    }

    /// Fills `order` with `Generator.permutation(n)`; `look_up` is called now and then.
    ///
    /// # Errors
    /// What `look_up` answers, lack of memory, and more rows than 32 bits can number.
    pub fn permutation(&mut self, n: usize, order: &mut Vec<u32>, look_up: &mut LookUp) -> Result<(), Error> {
        let count = numbered(n)?;
        order.clear();
        order.try_reserve_exact(n).map_err(|_| Error::Memory { what: "a permutation", bytes: n.saturating_mul(4) })?;
        kernels::ask_for_huge_pages(order.spare_capacity_mut());
        order.extend(0..count);
        self.shuffle(order, look_up)
    }

    /// Fisher-Yates from the end. Many numbers are drawn at once, so that their places are asked for in time, and are
    /// then taken or refused without a branch, which nobody could foresee.
    fn shuffle(&mut self, values: &mut [u32], look_up: &mut LookUp) -> Result<(), Error> {
        let (mut i, mut since) = (values.len().saturating_sub(1), 0);
        while i >= DRAWN {
            let (before, mask) = (*self, usize::MAX >> i.leading_zeros());
            let drawn: [usize; DRAWN] = std::array::from_fn(|_| self.next_u32() as usize & mask);
            if values.len() > NEAR {
                for at in drawn {
                    prefetch(&values[at.min(i)..=at.min(i)]);
                }
            }
            let mut used = 0;
            while used < DRAWN && i > mask / 2 {
                let taken = drawn[used] <= i;
                values.swap(i, if taken { drawn[used] } else { i });
                i -= usize::from(taken);
                used += 1;
            }
            if used < DRAWN {
                *self = before; // the mask has changed: the rest is to be drawn again
                (0..used).for_each(|_| _ = self.next_u32());
            }
            since += used;
            if since > 1 << 20 {
                since = 0;
                look_up()?;
            }
        }
        for i in (1..=i).rev() {
            values.swap(i, self.up_to(i));
            if i.is_multiple_of(1 << 20) {
                look_up()?;
            }
        }
        Ok(())
    }
}

/// `n`, if 32 bits can number so many rows: all that is shuffled is small to swap, and to read.
///
/// # Errors
/// If they can't.
pub fn numbered(n: usize) -> Result<u32, Error> {
    u32::try_from(n)
        .map_err(|_| Error::argument("shuffle", format!("a shuffle of {n} rows"), "False beyond 4294967295 rows"))
}

/// Numbers that are drawn at once.
const DRAWN: usize = 64;
/// Rows whose numbers are in the second-level cache anyway.
const NEAR: usize = 1 << 16;

/// A permutation, and the generator before and after it.
#[derive(Default)]
struct Drawn {
    /// None if nothing is drawn.
    before: Option<Pcg64>,
    order: Vec<u32>,
    after: Option<Pcg64>,
}

/// Permutations of n, of which the next is drawn while the latest is in use.
pub struct Ahead {
    n: usize,
    /// Where the generator was left.
    left: Option<Pcg64>,
    next: Mutex<Drawn>,
}

impl Ahead {
    pub fn new(n: usize) -> Self {
        Ahead { n, left: None, next: Mutex::default() }
    }

    /// Fills `order` with the permutation that `generator` draws next, and leaves the generator after it.
    ///
    /// # Errors
    /// What `look_up` answers, and lack of memory.
    pub fn permutation(
        &mut self,
        generator: &mut Pcg64,
        order: &mut Vec<u32>,
        look_up: &mut LookUp,
    ) -> Result<(), Error> {
        let Drawn { before, order: next, after } = self.next.get_mut().unwrap_or_else(PoisonError::into_inner);
        match after {
            // else somebody has drawn meanwhile, or nobody ahead
            Some(after) if before.take() == Some(*generator) => {
                std::mem::swap(order, next);
                *generator = *after;
            }
            _ => generator.permutation(self.n, order, look_up)?,
        }
        self.left = Some(*generator);
        Ok(())
    }

    /// Draws the next one, unless `look_up` ends that.
    pub fn draw(&self, look_up: &mut LookUp) {
        let Some(start) = self.left else { return };
        let mut drawn = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut generator = start;
        let done = generator.permutation(self.n, &mut drawn.order, look_up).is_ok();
        (drawn.before, drawn.after) = (done.then_some(start), Some(generator));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.default_rng(0)`, before any number is drawn.
    const SEED_0: Pcg64 = Pcg64 {
        state: 35_399_562_948_360_463_058_890_781_895_381_311_971,
        increment: 87_136_372_517_582_989_555_478_159_403_783_844_777,
        half: 0,
        spare: false,
    };

    #[test]
    fn seeds_are_spread_as_numpy_does() {
        let long = Pcg64 {
            state: 48_690_681_323_812_418_667_715_103_375_121_470_648,
            increment: 272_767_662_227_234_946_026_794_241_560_687_403_723,
            ..SEED_0
        };
        assert_eq!([0, 0x1234_5678_9abc_def0_0fed_cba9].map(Pcg64::seeded), [SEED_0, long]);
    }

    #[test]
    fn permutations_are_those_of_numpy() {
        let (mut generator, mut order) = (SEED_0, Vec::new());
        for expected in [[4, 6, 2, 7, 3, 5, 9, 0, 8, 1], [2, 9, 3, 6, 0, 4, 8, 7, 5, 1]] {
            generator.permutation(10, &mut order, &mut || Ok(())).unwrap();
            assert_eq!(order, expected);
        }
    }

    #[test]
    fn drawing_ahead_changes_nothing_and_leaves_no_trace() {
        for n in [1, 5, 10_000, 1 << 21] {
            for meddle in [false, true] {
                let runs = [Some(true), Some(false), None].map(|finishes| {
                    let (mut generator, mut ahead, mut orders) = (SEED_0, Ahead::new(n), vec![Vec::new(); 3]);
                    for order in &mut orders {
                        ahead.permutation(&mut generator, order, &mut || Ok(())).unwrap();
                        if let Some(finishes) = finishes {
                            let mut left = if finishes { usize::MAX } else { 0 };
                            ahead.draw(&mut || {
                                left = left.checked_sub(1).ok_or(Error::Interrupted)?;
                                Ok(())
                            });
                        }
                        if meddle {
                            generator.next_u64();
                        }
                    }
                    (orders, generator)
                });
                assert!(runs.iter().all(|run| *run == runs[2]), "n = {n}, meddle = {meddle}");
            }
        }
    }

    #[test]
    fn whoever_looks_up_can_end_it() {
        let mut order = Vec::new();
        let drawn = SEED_0.clone().permutation(3 << 20, &mut order, &mut || Err(Error::Interrupted));
        assert_eq!(drawn, Err(Error::Interrupted));
    }
}
