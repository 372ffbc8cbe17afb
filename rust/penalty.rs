//! Penalty: what large coefficients cost, `l1 |w|_1 + l2/2 |w|^2`, and negative ones where none may be: infinitely
//! much. The intercept never pays.

use crate::kernels::norm;

/// Both penalties; 0 leaves one out. With `positive` no coefficient may be negative. Where coordinate j stands for `w_j
/// / a_j`, `scale` holds the a_j of each feature, and the penalty is still that of w: `l1 a_j` and `l2 a_j^2`. An a_j
/// of 0 frees a coordinate; empty is all ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Penalty<'a> {
    pub l1: f64,
    pub l2: f64,
    pub positive: bool,
    pub scale: &'a [f64],
}

impl Penalty<'_> {
    fn scale(&self, j: usize) -> f64 {
        if self.scale.is_empty() { 1.0 } else { self.scale[j % self.scale.len()] }
    }

    /// l1 |w|_1 + l2/2 |w|^2
    pub fn value(&self, w: &[f64]) -> f64 {
        let scaled = || w.iter().enumerate().map(|(j, w)| w * self.scale(j));
        let mut value = 0.0;
        if self.l1 != 0.0 {
            value += self.l1 * scaled().map(f64::abs).sum::<f64>();
        }
        if self.l2 != 0.0 {
            value += 0.5 * self.l2 * scaled().map(|w| w * w).sum::<f64>();
        }
        value
    }

    /// Adds the gradient of the smooth part, `l2 w`.
    pub fn add_gradient(&self, w: &[f64], grad: &mut [f64]) {
        if self.l2 != 0.0 {
            for (j, (grad, w)) in grad.iter_mut().zip(w).enumerate() {
                *grad += self.l2 * self.scale(j) * self.scale(j) * w;
            }
        }
    }

    /// Whether there is nothing but what has a gradient.
    pub fn is_smooth(&self) -> bool {
        self.l1 == 0.0 && !self.positive
    }

    /// argmin_v |v - w|^2 / 2 + by |v|: toward zero by `by`, and no further; over v >= 0 if `positive`.
    fn shrink(w: f64, by: f64, positive: bool) -> f64 {
        if positive && w < by { 0.0 } else { w.signum() * (w.abs() - by).max(0.0) }
    }

    /// The proximal step of what is not smooth, of length `length(j)` for coordinate j.
    pub fn prox(&self, w: &mut [f64], length: impl Fn(usize) -> f64) {
        if self.is_smooth() {
            return;
        }
        for (j, w) in w.iter_mut().enumerate() {
            let scale = self.scale(j);
            if scale != 0.0 {
                *w = Self::shrink(*w, length(j) * self.l1 * scale, self.positive);
            }
        }
    }

    /// Euclidean length of the gradient, `penalised` coordinates first; where not all is smooth of the proximal
    /// gradient `(w - prox(w - rate grad)) / rate`, which is zero exactly at the minimum, worked out without that
    /// subtraction.
    #[inline(always)]
    pub fn gradient_norm(&self, theta: &[f64], grad: &[f64], penalised: usize, rate: f64) -> f64 {
        if self.is_smooth() { norm(grad.iter().copied()) } else { self.proximal_norm(theta, grad, penalised, rate) }
    }

    fn proximal_norm(&self, theta: &[f64], grad: &[f64], penalised: usize, rate: f64) -> f64 {
        norm(theta.iter().zip(grad).enumerate().map(|(j, (&w, &g))| {
            let scale = self.scale(j);
            if j >= penalised || scale == 0.0 {
                return g;
            }
            let (moved, l1) = (w - rate * g, self.l1 * scale);
            let side = if self.positive { moved } else { moved.abs() };
            if side > rate * l1 {
                g + l1 * moved.signum()
            } else if rate > 0.0 {
                w / rate
            } else {
                -Self::shrink(-g, l1, self.positive)
            }
        }))
    }

    /// Euclidean length of the coordinates that are not free.
    pub fn length(&self, w: &[f64]) -> f64 {
        norm(w.iter().enumerate().map(|(j, &w)| if self.scale(j) == 0.0 { 0.0 } else { w }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prox_minimises_what_it_says() {
        let penalty = Penalty { l1: 0.7, ..Penalty::default() };
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
    fn prox_minimises_over_what_is_not_negative() {
        for (l1, rate) in [(0.0, 0.5), (0.7, 0.5), (0.7, 2.0)] {
            let penalty = Penalty { l1, positive: true, scale: &[1.0, 0.0, 0.5], ..Penalty::default() };
            let mut w = [-2.0, -2.0, f64::NAN];
            penalty.prox(&mut w, |_| rate);
            assert!(w[0] == 0.0 && w[1] == -2.0 && w[2].is_nan(), "a free one stays, and what is no number");
            for w in [-2.0, -0.1, 0.0, 0.2, 1.5, 9.0] {
                let mut moved = [w, 0.0, w];
                penalty.prox(&mut moved, |_| rate);
                for (v, scale) in [(moved[0], 1.0), (moved[2], 0.5)] {
                    let cost = |v: f64| 0.5 * (v - w).powi(2) + rate * l1 * scale * v;
                    assert!(v >= 0.0 && cost(v) <= cost(v + 1e-3) && cost(v) <= cost((v - 1e-3).max(0.0)));
                }
            }
            for (w, g) in [(0.0, 3.0), (0.0, -3.0), (0.0, -0.1), (2.0, 0.7), (2.0, -0.7), (0.3, 3.0)] {
                let found = penalty.gradient_norm(&[w], &[g], 1, rate);
                let mut moved = [w - rate * g];
                penalty.prox(&mut moved, |_| rate);
                assert!((found - (w - moved[0]).abs() / rate).abs() <= 1e-14, "{w} {g}");
                let still = |rate| penalty.gradient_norm(&[w], &[g], 1, rate);
                assert!((still(0.0) - still(1e-9)).abs() <= 1e-6, "{w} {g}");
            }
        }
    }

    #[test]
    fn gradient_is_the_derivative_of_the_smooth_part() {
        let penalty = Penalty { l2: 0.3, ..Penalty::default() };
        let mut grad = [1.0, 1.0];
        penalty.add_gradient(&[2.0, -4.0], &mut grad);
        assert_eq!(grad, [1.0 + 0.3 * 2.0, 1.0 - 0.3 * 4.0]);
        assert_eq!(penalty.value(&[2.0, -4.0]), 0.15 * 20.0);
    }

    #[test]
    fn norm_is_plain_without_l1_and_zero_where_l1_holds_a_coordinate() {
        let plain = Penalty { l2: 1.0, ..Penalty::default() };
        assert_eq!(plain.gradient_norm(&[1.0, 2.0], &[3.0, 4.0], 1, 0.1), 5.0);
        let held = Penalty { l1: 1.0, ..Penalty::default() };
        assert_eq!(held.gradient_norm(&[0.0, 2.0], &[0.9, 4.0], 1, 0.1), 4.0);
        assert!((held.gradient_norm(&[1.0], &[3.0], 1, 1e-20) - 4.0).abs() <= 1e-15, "no cancellation");
        for (w, g) in [(0.0, 3.0), (0.0, -3.0), (0.0, 0.5), (2.0, 0.7), (-2.0, 0.7)] {
            let norm = |rate| held.gradient_norm(&[w], &[g], 1, rate);
            assert!((norm(0.0) - norm(1e-9)).abs() <= 1e-6, "{w} {g}");
        }
    }

    #[test]
    fn scaled_coordinates_carry_the_penalty_of_the_coefficients() {
        let (v, a) = ([2.0, -3.0, 4.0, 1.0], [0.5, 0.0]);
        let w: Vec<f64> = v.iter().enumerate().map(|(j, v)| v * a[j % 2]).collect();
        let plain = Penalty { l1: 0.7, l2: 0.3, ..Penalty::default() };
        let scaled = Penalty { scale: &a, ..plain };
        assert_eq!(scaled.value(&v), plain.value(&w));
        let mut grad = [0.0; 4];
        scaled.add_gradient(&v, &mut grad);
        assert_eq!(grad, [0.3 * 0.25 * 2.0, 0.0, 0.3 * 0.25 * 4.0, 0.0]);
        let mut moved = v;
        scaled.prox(&mut moved, |_| 1.0);
        assert_eq!(moved, [2.0 - 0.35, -3.0, 4.0 - 0.35, 1.0]);
        assert_eq!(scaled.length(&v), 20f64.sqrt());
    }
}
