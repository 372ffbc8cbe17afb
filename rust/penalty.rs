//! Penalty: what large coefficients cost, `l1 |w|_1 + l2/2 |w|^2`. The intercept never pays.

use crate::kernels::norm;

/// Both penalties; 0 leaves one out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Penalty {
    pub l1: f64,
    pub l2: f64,
}

impl Penalty {
    /// l1 |w|_1 + l2/2 |w|^2
    pub fn value(&self, w: &[f64]) -> f64 {
        let mut value = 0.0;
        if self.l1 != 0.0 {
            value += self.l1 * w.iter().map(|w| w.abs()).sum::<f64>();
        }
        if self.l2 != 0.0 {
            value += 0.5 * self.l2 * w.iter().map(|w| w * w).sum::<f64>();
        }
        value
    }

    /// Adds the gradient of the smooth part, `l2 w`.
    pub fn add_gradient(&self, w: &[f64], grad: &mut [f64]) {
        if self.l2 != 0.0 {
            for (grad, w) in grad.iter_mut().zip(w) {
                *grad += self.l2 * w;
            }
        }
    }

    /// argmin_v |v - w|^2 / 2 + length l1 |v|_1 for one coordinate: toward zero by `length l1`, and no further.
    fn shrink(&self, w: f64, length: f64) -> f64 {
        w.signum() * (w.abs() - length * self.l1).max(0.0)
    }

    /// The proximal step of the l1 part, of length `length(j)` for coordinate j.
    pub fn prox(&self, w: &mut [f64], length: impl Fn(usize) -> f64) {
        if self.l1 != 0.0 {
            for (j, w) in w.iter_mut().enumerate() {
                *w = self.shrink(*w, length(j));
            }
        }
    }

    /// Euclidean length of the gradient, `penalised` coordinates first; with l1 of the proximal gradient
    /// `(w - prox(w - rate grad)) / rate`, which is zero exactly at the minimum, worked out without that subtraction.
    pub fn gradient_norm(&self, theta: &[f64], grad: &[f64], penalised: usize, rate: f64) -> f64 {
        if self.l1 == 0.0 {
            return norm(grad.iter().copied());
        }
        norm(theta.iter().zip(grad).enumerate().map(|(j, (&w, &g))| {
            let moved = w - rate * g;
            if j >= penalised {
                g
            } else if moved.abs() > rate * self.l1 {
                g + self.l1 * moved.signum()
            } else if rate > 0.0 {
                w / rate
            } else {
                self.shrink(g, 1.0)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prox_minimises_what_it_says() {
        let penalty = Penalty { l1: 0.7, l2: 0.0 };
        for w in [-2.0, -0.3, 0.0, 0.2, 1.5] {
            let mut moved = [w];
            penalty.prox(&mut moved, |_| 0.5);
            let cost = |v: f64| 0.5 * (v - w).powi(2) + 0.5 * penalty.value(&[v]);
            for step in [-1e-3, 1e-3] {
                assert!(cost(moved[0]) <= cost(moved[0] + step));
            }
        }
    }

    #[test]
    fn gradient_is_the_derivative_of_the_smooth_part() {
        let penalty = Penalty { l1: 0.0, l2: 0.3 };
        let mut grad = [1.0, 1.0];
        penalty.add_gradient(&[2.0, -4.0], &mut grad);
        assert_eq!(grad, [1.0 + 0.3 * 2.0, 1.0 - 0.3 * 4.0]);
        assert_eq!(penalty.value(&[2.0, -4.0]), 0.15 * 20.0);
    }

    #[test]
    fn norm_is_plain_without_l1_and_zero_where_l1_holds_a_coordinate() {
        let plain = Penalty { l1: 0.0, l2: 1.0 };
        assert_eq!(plain.gradient_norm(&[1.0, 2.0], &[3.0, 4.0], 1, 0.1), 5.0);
        let held = Penalty { l1: 1.0, l2: 0.0 };
        assert_eq!(held.gradient_norm(&[0.0, 2.0], &[0.9, 4.0], 1, 0.1), 4.0);
        assert!((held.gradient_norm(&[1.0], &[3.0], 1, 1e-20) - 4.0).abs() <= 1e-15, "no cancellation");
        for (w, g) in [(0.0, 3.0), (0.0, -3.0), (0.0, 0.5), (2.0, 0.7), (-2.0, 0.7)] {
            let norm = |rate| held.gradient_norm(&[w], &[g], 1, rate);
            assert!((norm(0.0) - norm(1e-9)).abs() <= 1e-6, "{w} {g}");
        }
    }
}
