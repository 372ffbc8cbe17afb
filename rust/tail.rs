//! Tail: the mean of the iterates of the later half of the epochs (Polyak and Juditsky, 1992, without the beginning).

use std::collections::VecDeque;

/// Sums of iterates, one an epoch; of the E epochs so far, those of the first E // 2 are forgotten.
pub struct Tail {
    /// Sum and count of each epoch that is kept, the newest last.
    sums: VecDeque<(Vec<f64>, u64)>,
    running: (Vec<f64>, u64),
    epochs: usize,
}

impl Tail {
    /// For iterates of `size` numbers; 0 keeps nothing.
    pub fn new(size: usize) -> Self {
        Tail { sums: VecDeque::new(), running: (vec![0.0; size], 0), epochs: 0 }
    }

    /// Takes an iterate.
    pub fn add(&mut self, theta: &[f64]) {
        for (sum, theta) in self.running.0.iter_mut().zip(theta) {
            *sum += theta;
        }
        self.running.1 += 1;
    }

    /// Room for the sum of `count` iterates that somebody else adds; empty if nothing is kept.
    pub fn make_room(&mut self, count: u64) -> &mut [f64] {
        self.running.1 += count;
        &mut self.running.0
    }

    /// The iterates so far were an epoch's.
    pub fn end_epoch(&mut self) {
        let size = self.running.0.len();
        if size == 0 {
            return;
        }
        self.sums.push_back(std::mem::replace(&mut self.running, (vec![0.0; size], 0)));
        self.epochs += 1;
        while self.sums.len() > self.epochs - self.epochs / 2 {
            self.sums.pop_front();
        }
    }

    /// The mean of what is kept; `None` before the first epoch's end, or if nothing is kept.
    pub fn mean(&self) -> Option<Vec<f64>> {
        let count: u64 = self.sums.iter().map(|(_, count)| count).sum();
        let mut mean = self.sums.front()?.0.clone();
        for (sum, _) in self.sums.iter().skip(1) {
            for (mean, sum) in mean.iter_mut().zip(sum) {
                *mean += sum;
            }
        }
        for mean in &mut mean {
            *mean /= count as f64;
        }
        Some(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_epochs_after_the_first_half() {
        let mut tail = Tail::new(1);
        let mut iterates = Vec::new();
        assert_eq!(tail.mean(), None);
        for epoch in 1..=7 {
            for step in 0..3 {
                let theta = f64::from(epoch * epoch + step);
                tail.add(&[theta]);
                iterates.push(theta);
            }
            tail.end_epoch();
            let kept = &iterates[3 * (epoch as usize / 2)..];
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            assert!((tail.mean().unwrap()[0] - mean).abs() <= 1e-12);
        }
        let mut off = Tail::new(0);
        off.add(&[1.0]);
        off.end_epoch();
        assert_eq!(off.mean(), None);
    }
}
