//! Permute: NumPy's permutations in Rust, drawn for the next epoch while this one runs.
//! `Generator.permutation` over PCG64, bit for bit and end state included: O'Neill, "PCG" (2014), the 128-bit generator with
//! XSL-RR output, and Fisher-Yates from the end by masked rejection over 32-bit halves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::sampler::Permute;

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

    /// Fills `order` with `Generator.permutation(n)`, unless it is told to stop.
    fn permutation(&mut self, n: usize, order: &mut Vec<usize>, stop: &AtomicBool) {
        order.clear();
        match u32::try_from(n) {
            Ok(count) => {
                let mut small: Vec<u32> = (0..count).collect(); // half the memory to swap in
                self.shuffle(&mut small, stop);
                order.extend(small.into_iter().map(|i| i as usize));
            }
            Err(_) => {
                order.extend(0..n);
                self.shuffle(order, stop);
            }
        }
    }

    fn shuffle<T>(&mut self, values: &mut [T], stop: &AtomicBool) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.up_to(i));
            if i.is_multiple_of(1 << 16) && stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Rows from which it is worth a thread to draw ahead.
const WORTH: usize = 1 << 15;

/// Calls `work` with a source of permutations of `n`, at most `count` of them, and leaves `generator` where those that
/// were used leave it. With `ahead`, a thread draws the next one while the latest is in use, and waits in between.
pub fn with_permutations<T>(
    generator: &mut Pcg64,
    n: usize,
    count: u64,
    ahead: bool,
    work: impl FnOnce(&mut Permute) -> T,
) -> T {
    let stop = AtomicBool::new(false);
    if !ahead || n < WORTH || count < 2 {
        return work(&mut |order| {
            generator.permutation(n, order, &stop);
            Ok(())
        });
    }
    let start = *generator;
    thread::scope(|scope| {
        let (give, take) = sync_channel(0);
        let draw = || {
            let (mut drawn, give) = (start, give);
            for _ in 0..count {
                let mut order = Vec::new();
                drawn.permutation(n, &mut order, &stop);
                if give.send((order, drawn)).is_err() {
                    return; // nobody wants any more
                }
            }
        };
        let helper = thread::Builder::new().spawn_scoped(scope, draw);
        let mut next = move |order: &mut Vec<usize>| {
            match helper.as_ref().ok().and_then(|_| take.recv().ok()) {
                Some((next, after)) => (*order, *generator) = (next, after),
                None => generator.permutation(n, order, &AtomicBool::new(false)),
            }
            Ok(())
        };
        let answer = work(&mut next);
        stop.store(true, Ordering::Relaxed);
        drop(next); // and with it the channel
        answer
    })
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
    fn permutations_are_those_of_numpy() {
        let (mut generator, mut order) = (SEED_0, Vec::new());
        for expected in [[4, 6, 2, 7, 3, 5, 9, 0, 8, 1], [2, 9, 3, 6, 0, 4, 8, 7, 5, 1]] {
            generator.permutation(10, &mut order, &AtomicBool::new(false));
            assert_eq!(order, expected);
        }
    }

    #[test]
    fn drawing_ahead_changes_nothing_and_leaves_no_trace() {
        for n in [1, 5, WORTH + 3] {
            let runs = [false, true].map(|ahead| {
                let mut generator = SEED_0;
                let orders = with_permutations(&mut generator, n, 9, ahead, |permute| {
                    let mut orders = vec![Vec::new(); 3];
                    orders.iter_mut().for_each(|order| permute(order).unwrap());
                    orders
                });
                (orders, generator)
            });
            assert_eq!(runs[0], runs[1], "n = {n}");
        }
    }
}
