//! Loss: how far a raw prediction is from its target, and the derivative that says where to go.
//! To add one, write `value` and `gradient` for one number, a row in `LOSSES`, and its twin of the same name in
//! `python/fastgd/reference/loss.py`.

mod steps;

use std::fmt;

use self::steps::{OnPieces, a_turn};
pub use self::steps::{Rates, Shape};
use crate::exponential::{NEAR, TERMS, bends, exp, ln_1p};
use crate::kernels::{self, Columns, Downhill, Moves, Series, Set, Stored, TURN, Turn};
use crate::registry::{Parameter, Part, Range, choose};

/// A formula in one raw prediction `raw` and its target `y`; or, in a `block` of its own, in all those of a row.
pub trait Loss: Send + Sync {
    /// loss(raw, y)
    fn value(&self, raw: f64, y: f64) -> f64;

    /// d loss / d raw, or a subgradient
    fn gradient(&self, raw: f64, y: f64) -> f64;

    /// A bound on |d loss / d raw|.
    fn steepest(&self) -> f64 {
        f64::INFINITY
    }

    /// What the derivative is made of between its kinks.
    fn shape(&self) -> Shape {
        Shape::Curve
    }

    /// By how much the derivative grows with `raw`, from 0 to `MOST_BENT`, unless that is a curve; 0 where it is level.
    fn bend(&self, _raw: f64, _y: f64) -> f64 {
        0.0
    }

    /// How far it is to the next kink, unless that is a curve.
    fn reach(&self, _raw: f64, _y: f64) -> f64 {
        0.0
    }

    /// Over a block of rows: returns `sum_i s_i loss_i` and replaces each raw prediction by `s_i d loss_i / d raw`.
    /// `raw` and `y` are (m, outputs), of a loss that couples outputs `y` is (m); `weight` is (m) or empty for all
    /// ones. Compiled once a loss and instruction set, with its formula inlined.
    fn block(&self, set: Set, raw: &mut [f64], told: Told, outputs: usize) -> f64 {
        let Told { y, weight } = told;
        let (value, slope) = (|raw, y| self.value(raw, y), |raw, y| self.gradient(raw, y));
        kernels::pointwise(set, raw, y, weight, outputs, value, slope)
    }

    /// Of up to `TURN` rows with several outputs that step in turn: `raw`, what they predict before the first of them,
    /// becomes their steps, scaled as `moves` says; returns the sum of `s_i loss_i` as each finds it.
    fn in_turn(&self, set: Set, raw: &mut [f64], told: Told, outputs: usize, moves: &Moves) -> f64 {
        let (count, mut sum) = (raw.len() / outputs, 0.0);
        let width = told.y.len() / count;
        for r in 0..count {
            let (steps, later) = raw[r * outputs..].split_at_mut(outputs);
            let told = Told { y: &told.y[r * width..][..width], weight: told.weight.get(r..=r).unwrap_or(&[]) };
            sum += self.block(set, steps, told, outputs);
            steps.iter_mut().for_each(|step| *step *= moves.scales[r]);
            for (raw, shared) in later.chunks_exact_mut(outputs).zip(&moves.shared[r][r + 1..]) {
                raw.iter_mut().zip(&*steps).for_each(|(raw, step)| *raw += shared * step);
            }
        }
        sum
    }

    /// Of rows of one number x_i, which are told w x_i + b: the sums of the derivative of `s_i loss_i` times x_i, of the
    /// derivative, and of `s_i loss_i`. Compiled once a loss and instruction set, with its formula inlined.
    fn singles(&self, set: Set, rows: &Stored, line: (f64, f64), told: &Told) -> [f64; 3] {
        let (told, value, slope) = ((told.y, told.weight), |raw, y| self.value(raw, y), |raw, y| self.gradient(raw, y));
        match *rows {
            Stored::Wide(lines) => kernels::singles(set, lines, line, told, value, slope),
            Stored::Short(lines) => kernels::singles(set, lines, line, told, value, slope),
        }
    }

    /// Steps by batches, with what each row loses added to `sum`. Compiled once a loss and instruction set, with its
    /// formula inlined.
    fn downhill(&self, set: Set, rows: Columns, line: Downhill, told: Told, sum: &mut f64) {
        let (told, value, slope) = ((told.y, told.weight), |raw, y| self.value(raw, y), |raw, y| self.gradient(raw, y));
        kernels::downhill(set, rows, line, told, value, slope, sum);
    }

    /// The sum of `s_i loss_i` over a block of rows with one output; overwrites `raw`.
    fn sum(&self, set: Set, raw: &mut [f64], told: Told) -> f64 {
        kernels::pointwise(set, raw, told.y, told.weight, 1, |raw, y| self.value(raw, y), |_, _| 0.0)
    }

    /// The step of row r: its rate times its weight times its slope at `raw`; `square` is as in `Rates`.
    fn step(&self, (raw, square): (f64, f64), r: usize, told: Told, rates: Rates) -> f64 {
        let (rate, s) = (rates.each[r], told.weight.get(r).copied().unwrap_or(1.0));
        let step = rate * self.gradient(raw, told.y[r]).clamp(-rates.steepest, rates.steepest) * s;
        if rates.implicit == 0.0 { step } else { step / (1.0 + rate * s * rates.implicit * square) }
    }

    /// The steps of rows in turn, each its rate times its weight times its slope. `told` and `rates` are theirs.
    /// Compiled once a loss and instruction set, with its formula inlined.
    fn steps(&self, set: Set, turn: &mut Turn, told: Told, rates: Rates) {
        let ([of_y, of_rates], most) = (&mut [[0.0; TURN]; 2], rates.steepest);
        let (y, rate) = (a_turn(told.y, of_y), rates.of_turn(turn, told.weight, of_rates));
        let pieces = OnPieces { loss: self, y, rate, most };
        let f = |raw: f64, r: usize| rate[r] * self.gradient(raw, y[r]).clamp(-most, most);
        match self.shape() {
            Shape::Levels => kernels::straight::<false>(set, turn, pieces, f),
            Shape::Lines => kernels::straight::<true>(set, turn, pieces, f),
            Shape::Curve => kernels::steps(set, turn, (), f),
        }
    }
}

/// What rows were told to be: their targets, and weights or none if all are 1.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub y: &'a [f64],
    pub weight: &'a [f64],
}

impl Told<'_> {
    /// Of the rows from i on.
    pub fn from(self, i: usize) -> Self {
        Told { y: &self.y[i..], weight: self.weight.get(i..).unwrap_or(&[]) }
    }
}

/// Which targets a loss is defined for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Targets {
    Real,
    NonNegative,
    OneOf(&'static [f64]),
    /// The number of a class, 0, 1, 2, ...: one target a row, and an output for each class.
    Class,
}

impl Targets {
    /// Whether the loss is defined at `y`.
    pub fn admit(&self, y: f64) -> bool {
        match self {
            Targets::Real => true,
            Targets::NonNegative => y >= 0.0,
            Targets::OneOf(values) => values.contains(&y),
            Targets::Class => y >= 0.0 && y.fract() == 0.0,
        }
    }

    /// Whether all outputs of a row are told one target.
    pub fn coupled(&self) -> bool {
        *self == Targets::Class
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Targets::Real => write!(f, "real"),
            Targets::NonNegative => write!(f, ">= 0"),
            Targets::OneOf(values) => {
                write!(f, "one of {}", values.iter().map(f64::to_string).collect::<Vec<_>>().join(", "))
            }
            Targets::Class => write!(f, "class numbers 0, 1, 2, ..."),
        }
    }
}

/// How the losses of several rows become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    Mean,
    Sum,
}

/// What is true of a loss whatever the data.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Smallest bound on the second derivative in `raw`; `None` where there is none.
    pub curvature: Option<f64>,
    /// Differentiable everywhere (else it has kinks).
    pub smooth: bool,
    /// A multiple of (raw - y)^2: least squares solves it.
    pub squared: bool,
    pub targets: Targets,
    pub reduction: Reduction,
}

/// factor (raw - y)^2
struct Squared {
    factor: f64,
}

impl Loss for Squared {
    fn value(&self, raw: f64, y: f64) -> f64 {
        self.factor * (raw - y) * (raw - y)
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        2.0 * self.factor * (raw - y)
    }

    fn shape(&self) -> Shape {
        Shape::Lines
    }

    fn bend(&self, _raw: f64, _y: f64) -> f64 {
        2.0 * self.factor
    }

    fn reach(&self, _raw: f64, _y: f64) -> f64 {
        f64::INFINITY
    }
}

/// With r = raw - y: r^2 / 2 up to |r| = delta, then delta (|r| - delta / 2). Huber, 1964.
struct Huber {
    delta: f64,
}

impl Loss for Huber {
    fn value(&self, raw: f64, y: f64) -> f64 {
        let r = (raw - y).abs();
        if r <= self.delta { 0.5 * r * r } else { self.delta * (r - 0.5 * self.delta) }
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        (raw - y).clamp(-self.delta, self.delta)
    }

    fn shape(&self) -> Shape {
        Shape::Lines
    }

    fn bend(&self, raw: f64, y: f64) -> f64 {
        if (raw - y).abs() < self.delta { 1.0 } else { 0.0 }
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        ((raw - y).abs() - self.delta).abs()
    }
}

/// q (y - raw) where raw is too small, (1 - q) (raw - y) where it is too large. Koenker and Bassett, 1978.
struct Pinball {
    q: f64,
}

impl Loss for Pinball {
    fn value(&self, raw: f64, y: f64) -> f64 {
        let r = raw - y;
        if r > 0.0 { (1.0 - self.q) * r } else { -self.q * r }
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        let r = raw - y;
        if r > 0.0 {
            1.0 - self.q
        } else if r < 0.0 {
            -self.q
        } else {
            0.0
        }
    }

    fn steepest(&self) -> f64 {
        self.q.max(1.0 - self.q)
    }

    fn shape(&self) -> Shape {
        Shape::Levels
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        (raw - y).abs()
    }
}

/// max(0, |raw - y| - epsilon). Vapnik, 1995; with epsilon 0 the absolute error.
struct Tube {
    epsilon: f64,
}

impl Loss for Tube {
    fn value(&self, raw: f64, y: f64) -> f64 {
        positive((raw - y).abs() - self.epsilon)
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        let r = raw - y;
        if r > self.epsilon {
            1.0
        } else if r < -self.epsilon {
            -1.0
        } else {
            0.0
        }
    }

    fn steepest(&self) -> f64 {
        1.0
    }

    fn shape(&self) -> Shape {
        Shape::Levels
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        ((raw - y).abs() - self.epsilon).abs()
    }
}

/// max(0, x), and NaN where x is.
fn positive(x: f64) -> f64 {
    if x <= 0.0 { 0.0 } else { x }
}

/// max(0, |raw - y| - epsilon)^2: the tube, squared.
struct SquaredTube {
    epsilon: f64,
}

impl Loss for SquaredTube {
    fn value(&self, raw: f64, y: f64) -> f64 {
        let beyond = positive((raw - y).abs() - self.epsilon);
        beyond * beyond
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        let r = raw - y;
        2.0 * positive(r.abs() - self.epsilon).copysign(r)
    }

    fn shape(&self) -> Shape {
        Shape::Lines
    }

    fn bend(&self, raw: f64, y: f64) -> f64 {
        if (raw - y).abs() > self.epsilon { 2.0 } else { 0.0 }
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        ((raw - y).abs() - self.epsilon).abs()
    }
}

/// max(0, margin - y raw), y being -1 or 1. Margin 1: Cortes and Vapnik, 1995; margin 0 is the perceptron's, which is
/// smallest with all coefficients 0: Rosenblatt, 1958.
struct Hinge {
    margin: f64,
}

impl Loss for Hinge {
    fn value(&self, raw: f64, y: f64) -> f64 {
        positive(self.margin - y * raw)
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        if y * raw <= self.margin { -y } else { 0.0 }
    }

    fn steepest(&self) -> f64 {
        1.0
    }

    fn shape(&self) -> Shape {
        Shape::Levels
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        (y * raw - self.margin).abs()
    }
}

/// max(0, 1 - y raw)^2, y being -1 or 1.
struct SquaredHinge;

impl Loss for SquaredHinge {
    fn value(&self, raw: f64, y: f64) -> f64 {
        let short = positive(1.0 - y * raw);
        short * short
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        -2.0 * y * positive(1.0 - y * raw)
    }

    fn shape(&self) -> Shape {
        Shape::Lines
    }

    fn bend(&self, raw: f64, y: f64) -> f64 {
        if y * raw < 1.0 { 2.0 } else { 0.0 }
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        (1.0 - y * raw).abs()
    }
}

/// max(0, 1 - z)^2 down to z = -1 and -4 z below, z = y raw, y being -1 or 1. Zhang, 2004.
struct ModifiedHuber;

impl Loss for ModifiedHuber {
    fn value(&self, raw: f64, y: f64) -> f64 {
        let z = y * raw;
        if z < -1.0 { -4.0 * z } else { SquaredHinge.value(raw, y) }
    }

    fn gradient(&self, raw: f64, y: f64) -> f64 {
        if y * raw < -1.0 { -4.0 * y } else { SquaredHinge.gradient(raw, y) }
    }

    fn shape(&self) -> Shape {
        Shape::Lines
    }

    fn bend(&self, raw: f64, y: f64) -> f64 {
        if (y * raw).abs() < 1.0 { 2.0 } else { 0.0 }
    }

    fn reach(&self, raw: f64, y: f64) -> f64 {
        ((y * raw).abs() - 1.0).abs()
    }
}

/// log(1 + exp(raw)) - y raw, y being 0 or 1: the negative log-likelihood of log odds `raw`.
struct Logistic;

impl Loss for Logistic {
    #[inline(always)]
    fn value(&self, raw: f64, y: f64) -> f64 {
        raw.max(0.0) - y * raw + ln_1p(exp(-raw.abs()))
    }

    #[inline(always)]
    fn gradient(&self, raw: f64, y: f64) -> f64 {
        let e = exp(-raw.abs());
        let (at_0, at_1) = if raw < 0.0 { (e, 1.0) } else { (1.0, e) };
        ((1.0 - y) * at_0 - y * at_1) / (1.0 + e)
    }

    /// Neither exp nor a division is waited for by the rows that follow.
    fn steps(&self, set: Set, turn: &mut Turn, told: Told, rates: Rates) {
        let [of_y, of_rates] = &mut [[0.0; TURN]; 2];
        let (y, rate) = (a_turn(told.y, of_y), rates.of_turn(turn, told.weight, of_rates));
        kernels::steps(set, turn, Sigmoids { y, rate }, |raw, r| rate[r] * far(raw, y[r]));
    }
}

/// The logistic loss's derivative where it is seldom asked for.
#[cold]
fn far(raw: f64, y: f64) -> f64 {
    Logistic.gradient(raw, y)
}

/// Steps down the logistic loss.
struct Sigmoids<'a> {
    y: &'a [f64; TURN],
    rate: &'a [f64; TURN],
}

impl Series<TERMS> for Sigmoids<'_> {
    const REACH: f64 = NEAR;

    #[inline(always)]
    fn around(&self, near: f64, r: usize) -> [f64; TERMS] {
        let (e, y) = (exp(-near.abs()), self.y[r]);
        let large = 1.0 / (1.0 + e);
        let small = e * large;
        let (at_0, at_1) = if near < 0.0 { (small, large) } else { (large, small) };
        let mut c = bends(small * large, at_1 - at_0);
        c[0] = (1.0 - y) * at_0 - y * at_1;
        c.map(|c| self.rate[r] * c)
    }
}

/// exp(raw) - y raw: the negative log-likelihood of counts y with mean exp(raw), up to what does not depend on it.
struct Poisson;

impl Loss for Poisson {
    #[inline(always)]
    fn value(&self, raw: f64, y: f64) -> f64 {
        exp(raw) - y * raw
    }

    #[inline(always)]
    fn gradient(&self, raw: f64, y: f64) -> f64 {
        exp(raw) - y
    }
}

/// log(sum_k exp(raw_k)) - raw_y, y being the number of a class: the negative log-likelihood where exp(raw_k) over
/// their sum is the chance of class k. Its Hessian diag(p) - p p^T is at most 1/2: Bohning, 1992.
struct Softmax;

impl Loss for Softmax {
    /// Of a single class, whose chance is 1.
    fn value(&self, raw: f64, _y: f64) -> f64 {
        0.0 * raw
    }

    fn gradient(&self, _raw: f64, _y: f64) -> f64 {
        0.0
    }

    fn block(&self, set: Set, raw: &mut [f64], told: Told, outputs: usize) -> f64 {
        kernels::softmax(set, raw, told.y, told.weight, outputs)
    }

    fn in_turn(&self, set: Set, raw: &mut [f64], told: Told, outputs: usize, moves: &Moves) -> f64 {
        kernels::softmax_in_turn(set, raw, told.y, told.weight, outputs, moves)
    }
}

/// True of the losses with kinks.
const KINKED: Facts =
    Facts { curvature: None, smooth: false, squared: false, targets: Targets::Real, reduction: Reduction::Mean };

/// Targets that name a side.
const SIDES: Targets = Targets::OneOf(&[-1.0, 1.0]);

/// True of the smooth losses of a margin.
const BENT_SIDES: Facts =
    Facts { curvature: Some(2.0), smooth: true, squared: false, targets: SIDES, reduction: Reduction::Mean };

/// Every loss there is.
pub const LOSSES: &[Part<dyn Loss, Facts>] = &[
    Part {
        name: "mse",
        formula: "(raw - y)^2, averaged over rows",
        parameters: &[],
        make: |_| Box::new(Squared { factor: 1.0 }),
        facts: Facts {
            curvature: Some(2.0),
            smooth: true,
            squared: true,
            targets: Targets::Real,
            reduction: Reduction::Mean,
        },
    },
    Part {
        name: "half_mse",
        formula: "(raw - y)^2 / 2, averaged over rows",
        parameters: &[],
        make: |_| Box::new(Squared { factor: 0.5 }),
        facts: Facts {
            curvature: Some(1.0),
            smooth: true,
            squared: true,
            targets: Targets::Real,
            reduction: Reduction::Mean,
        },
    },
    Part {
        name: "sse",
        formula: "(raw - y)^2, summed over rows",
        parameters: &[],
        make: |_| Box::new(Squared { factor: 1.0 }),
        facts: Facts {
            curvature: Some(2.0),
            smooth: true,
            squared: true,
            targets: Targets::Real,
            reduction: Reduction::Sum,
        },
    },
    Part {
        name: "huber",
        formula: "r^2/2 up to |r| = delta, then delta (|r| - delta/2), averaged over rows; r = raw - y",
        parameters: &[Parameter { name: "delta", default: 1.0, range: Range::POSITIVE }],
        make: |p| Box::new(Huber { delta: p[0] }),
        facts: Facts {
            curvature: Some(1.0),
            smooth: true,
            squared: false,
            targets: Targets::Real,
            reduction: Reduction::Mean,
        },
    },
    Part {
        name: "absolute",
        formula: "|raw - y|, averaged over rows",
        parameters: &[],
        make: |_| Box::new(Tube { epsilon: 0.0 }),
        facts: KINKED,
    },
    Part {
        name: "quantile",
        formula: "q (y - raw) below, (1 - q) (raw - y) above, averaged over rows",
        parameters: &[Parameter { name: "q", default: 0.5, range: Range::INSIDE_UNIT }],
        make: |p| Box::new(Pinball { q: p[0] }),
        facts: KINKED,
    },
    Part {
        name: "epsilon_insensitive",
        formula: "max(0, |raw - y| - epsilon), averaged over rows",
        parameters: &[Parameter { name: "epsilon", default: 0.1, range: Range::NON_NEGATIVE }],
        make: |p| Box::new(Tube { epsilon: p[0] }),
        facts: KINKED,
    },
    Part {
        name: "squared_epsilon_insensitive",
        formula: "max(0, |raw - y| - epsilon)^2, averaged over rows",
        parameters: &[Parameter { name: "epsilon", default: 0.1, range: Range::NON_NEGATIVE }],
        make: |p| Box::new(SquaredTube { epsilon: p[0] }),
        facts: Facts {
            curvature: Some(2.0),
            smooth: true,
            squared: false,
            targets: Targets::Real,
            reduction: Reduction::Mean,
        },
    },
    Part {
        name: "log_loss",
        formula: "log(1 + exp(raw)) - y raw, averaged over rows; y in {0, 1}",
        parameters: &[],
        make: |_| Box::new(Logistic),
        facts: Facts {
            curvature: Some(0.25),
            smooth: true,
            squared: false,
            targets: Targets::OneOf(&[0.0, 1.0]),
            reduction: Reduction::Mean,
        },
    },
    Part {
        name: "hinge",
        formula: "max(0, margin - y raw), averaged over rows; y in {-1, 1}",
        parameters: &[Parameter { name: "margin", default: 1.0, range: Range::NON_NEGATIVE }],
        make: |p| Box::new(Hinge { margin: p[0] }),
        facts: Facts { targets: SIDES, ..KINKED },
    },
    Part {
        name: "perceptron",
        formula: "max(0, -y raw), averaged over rows; y in {-1, 1}",
        parameters: &[],
        make: |_| Box::new(Hinge { margin: 0.0 }),
        facts: Facts { targets: SIDES, ..KINKED },
    },
    Part {
        name: "squared_hinge",
        formula: "max(0, 1 - y raw)^2, averaged over rows; y in {-1, 1}",
        parameters: &[],
        make: |_| Box::new(SquaredHinge),
        facts: BENT_SIDES,
    },
    Part {
        name: "modified_huber",
        formula: "max(0, 1 - z)^2 down to z = -1, -4 z below, averaged over rows; z = y raw, y in {-1, 1}",
        parameters: &[],
        make: |_| Box::new(ModifiedHuber),
        facts: BENT_SIDES,
    },
    Part {
        name: "poisson",
        formula: "exp(raw) - y raw, averaged over rows; y >= 0",
        parameters: &[],
        make: |_| Box::new(Poisson),
        facts: Facts {
            curvature: None,
            smooth: true,
            squared: false,
            targets: Targets::NonNegative,
            reduction: Reduction::Mean,
        },
    },
    Part {
        name: "softmax",
        formula: "log(sum_k exp(raw_k)) - raw_y, averaged over rows; y in {0, ..., K-1}, an output for each of K classes",
        parameters: &[],
        make: |_| Box::new(Softmax),
        facts: Facts {
            curvature: Some(0.5),
            smooth: true,
            squared: false,
            targets: Targets::Class,
            reduction: Reduction::Mean,
        },
    },
];

/// The loss called `name` with its parameters, and what is true of it.
///
/// # Errors
/// If there is no such loss or parameter, or a value is out of range.
pub fn loss(name: &str, given: &[(String, f64)]) -> Result<(Box<dyn Loss>, Facts), crate::error::Error> {
    let (part, values) = choose("loss", LOSSES, name, given)?;
    Ok(((part.make)(&values), part.facts))
}

#[cfg(test)]
mod tests;
