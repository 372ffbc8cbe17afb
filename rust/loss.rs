//! Loss: how far a raw prediction is from its target, and the derivative that says where to go.
//! To add one, write `value` and `gradient` for one number, a row in `LOSSES`, and its twin of the same name in
//! `python/fastgd/reference/loss.py`.

use std::fmt;

use crate::exponential::{NEAR, TERMS, bends, exp, ln_1p};
use crate::kernels::{self, Columns, Downhill, Moves, Pieces, Series, Set, Stored, TURN, Turn};
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

/// What a derivative is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Levels,
    /// Straight ones, that bend by at most `MOST_BENT`.
    Lines,
    Curve,
}

/// The most that a derivative grows with its prediction where it goes straight.
const MOST_BENT: f64 = 2.0;

/// Steps down a loss whose derivative goes straight between its kinks.
struct OnPieces<'a, L: ?Sized> {
    loss: &'a L,
    y: &'a [f64; TURN],
    rate: &'a [f64; TURN],
    /// The size that slopes are cut to.
    most: f64,
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
fn a_turn<'a>(numbers: &'a [f64], room: &'a mut [f64; TURN]) -> &'a [f64; TURN] {
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
    fn of_turn(&self, turn: &Turn, weight: &[f64], room: &'a mut [f64; TURN]) -> &'a [f64; TURN] {
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
mod tests {
    use super::*;

    /// Raw predictions of rows of three outputs, and targets that each output or, of a loss that couples them, the row
    /// is told; away from y = raw, where a kink may lie.
    fn samples(targets: Targets) -> Vec<([f64; 3], Vec<f64>)> {
        let raws = [[-3.1, -1.2, -0.4], [0.3, 0.93, 2.7], [2.7, -1.2, 0.93], [-0.4, -0.4, -40.0], [0.3, 0.93, 45.0]];
        let ys: Vec<f64> =
            [-2.0, -1.0, 0.0, 1.0, 2.0, 5.0].into_iter().filter(|&y| targets.admit(y) && y < 3.0).collect();
        let told = if targets.coupled() { 1 } else { 3 };
        let told = |first: usize| (0..told).map(|k| ys[(first + k) % ys.len()]).collect();
        raws.iter()
            .flat_map(|&raw| (0..ys.len()).map(move |first| (raw, first)))
            .map(|(raw, y)| (raw, told(y)))
            .collect()
    }

    fn all() -> impl Iterator<Item = (&'static str, Box<dyn Loss>, Facts)> {
        LOSSES.iter().map(|part| {
            let (made, facts) = loss(part.name, &[]).unwrap();
            (part.name, made, facts)
        })
    }

    /// The first of them looks around itself, the others around where that one has not been yet.
    #[test]
    fn steps_are_rates_times_derivatives() {
        for (name, loss, facts) in all().filter(|(_, _, facts)| !facts.targets.coupled()) {
            for (raws, y) in samples(facts.targets) {
                for ((raw, &y), away) in raws.into_iter().zip(&y).flat_map(|row| AWAY.map(|away| (row, away))) {
                    for set in Set::available() {
                        let mut turn = Turn { raw: [raw + away; TURN], count: TURN, ..Turn::default() };
                        let step = 0.25 * loss.gradient(raw + away, y);
                        turn.shared[0] = [if step == 0.0 { 0.0 } else { away / step }; TURN];
                        turn.shared[0][0] = 0.0;
                        let rates = Rates { each: &[0.25; TURN], steepest: f64::INFINITY, implicit: 0.0 };
                        loss.steps(set, &mut turn, Told { y: &[y; TURN], weight: &[] }, rates);
                        for (found, step) in turn.raw.into_iter().zip(turn.steps) {
                            let slope = 0.25 * loss.gradient(found, y);
                            let what = format!("{set:?} {name} {raw} {y} {away}");
                            let mut most = (4.0 + found.abs()) * slope.abs(); // what was found is rounded, too
                            if loss.shape() == Shape::Lines {
                                most += raw.abs() + 2.0 * away.abs(); // both ends of a line are
                            }
                            assert!((step - slope).abs() <= most * f64::EPSILON, "{what}: {step} {slope}");
                        }
                    }
                }
            }
        }
    }

    /// Where each looks around itself first, and then finds what all before it did: on the same piece of the derivative
    /// or beyond a kink, cut or not, weighted and implicit.
    #[test]
    fn steps_of_a_turn_are_those_of_its_rows_one_by_one() {
        let mut state = 1u64;
        let mut draw = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
        };
        for (name, loss, facts) in all().filter(|(_, _, facts)| !facts.targets.coupled()) {
            let ys: Vec<f64> = [-1.0, 0.0, 1.0, 2.0].into_iter().filter(|&y| facts.targets.admit(y)).collect();
            for round in 0..200 {
                let (far, steepest) = ([0.01, 0.3, 2.0][round % 3], [f64::INFINITY, 1e12, 1.5][round % 5 % 3]);
                let mut before = Turn { count: TURN, ..Turn::default() };
                let (mut y, mut each, mut weight) = ([0.0; TURN], [0.0; TURN], vec![]);
                for r in 0..TURN {
                    y[r] = ys[(draw().abs() * 100.0) as usize % ys.len()];
                    (before.raw[r], before.square[r], each[r]) = (2.0 * draw(), 1.0 + draw(), 0.3 + 0.2 * draw());
                    (r + 1..TURN).for_each(|later| before.shared[r][later] = far * draw());
                }
                if round % 2 == 0 {
                    weight = (0..TURN).map(|_| 1.0 + draw()).collect();
                }
                let rates = Rates { each: &each, steepest, implicit: if round % 7 == 0 { 1.0 } else { 0.0 } };
                let told = Told { y: &y, weight: &weight };
                let mut expected = before.clone();
                for r in 0..TURN {
                    expected.raw[r] -= (0..r).map(|q| expected.steps[q] * before.shared[q][r]).sum::<f64>();
                    expected.steps[r] = loss.step((expected.raw[r], before.square[r]), r, told, rates);
                }
                if expected.raw.iter().any(|raw| raw.abs() > 10.0) {
                    continue; // exp has gone astray
                }
                for set in Set::available() {
                    let mut turn = before.clone();
                    loss.steps(set, &mut turn, told, rates);
                    for r in 0..TURN {
                        for (found, expected) in [(turn.raw, expected.raw), (turn.steps, expected.steps)] {
                            let (found, expected) = (found[r], expected[r]);
                            let apart = (found - expected).abs();
                            assert!(apart <= 1e-13 * (1.0 + expected.abs()), "{set:?} {name} {found} {expected}");
                        }
                    }
                }
            }
        }
    }

    /// Row 1 comes from one side of a kink exactly to it, or is no number.
    #[test]
    fn a_row_that_comes_to_a_kink_or_is_no_number_steps_by_the_formula() {
        for (name, loss, facts) in all().filter(|(_, loss, _)| loss.shape() != Shape::Curve) {
            let y = if facts.targets.admit(0.0) { 0.0 } else { 1.0 };
            let told = Told { y: &[y; TURN], weight: &[] };
            let rates = Rates { each: &[1.0; TURN], steepest: f64::INFINITY, implicit: 0.0 };
            for raw in [-3.0, -1.5, -0.5, 0.5, 1.5, 3.0] {
                let step = loss.gradient(raw, y);
                let kinks = [raw + loss.reach(raw, y), raw - loss.reach(raw, y)];
                for (set, to) in Set::available().flat_map(|set| kinks.map(|to| (set, to))) {
                    let found = if step == 0.0 || to.is_infinite() { f64::NAN } else { to };
                    let mut turn = Turn { raw: [raw; TURN], count: TURN, ..Turn::default() };
                    turn.shared[0][1] = if found.is_nan() { 0.0 } else { (raw - found) / step };
                    turn.raw[1] = if found.is_nan() { f64::NAN } else { raw };
                    let mut expected = turn.clone();
                    expected.raw[1] -= step * turn.shared[0][1];
                    loss.steps(set, &mut turn, told, rates);
                    let step = loss.gradient(expected.raw[1], y);
                    let what = format!("{set:?} {name} {raw} {found}: {:?}", turn.steps);
                    let apart = if loss.shape() == Shape::Levels { 0.0 } else { 1e-14 };
                    assert!(
                        (turn.steps[1] - step).abs() <= apart || (turn.steps[1].is_nan() && step.is_nan()),
                        "{what}"
                    );
                    let unmoved = turn.steps[2] == loss.gradient(raw, y) && turn.raw[2] == raw;
                    assert!(unmoved || step.is_nan(), "{what}");
                }
            }
        }
    }

    #[test]
    fn derivatives_go_straight_as_far_as_they_reach() {
        let others =
            [("huber", "delta", 0.25), ("huber", "delta", 0.0625), ("quantile", "q", 0.125), ("hinge", "margin", 0.0)]
                .into_iter()
                .chain([("epsilon_insensitive", "epsilon", 0.0), ("squared_epsilon_insensitive", "epsilon", 0.75)])
                .map(|(name, parameter, value)| {
                    let (loss, facts) = loss(name, &[(parameter.to_string(), value)]).unwrap();
                    (name, loss, facts)
                });
        for (name, loss, facts) in all().chain(others).filter(|(_, loss, _)| loss.shape() != Shape::Curve) {
            for (raws, y) in samples(facts.targets) {
                for (raw, &y) in raws.into_iter().zip(&y) {
                    let (slope, bend, reach) = (loss.gradient(raw, y), loss.bend(raw, y), loss.reach(raw, y));
                    let level = loss.shape() == Shape::Levels;
                    assert!((0.0..=MOST_BENT).contains(&bend) && (bend == 0.0 || !level), "{name} {raw} {y}: {bend}");
                    for away in [-0.999, -0.5, 0.5, 0.999].map(|share| share * reach.min(50.0)) {
                        let (found, expected) = (loss.gradient(raw + away, y), slope + bend * away);
                        assert!((found - expected).abs() <= 1e-13 * (1.0 + expected.abs()), "{name} {raw} {y} {away}");
                    }
                    let beyond: Vec<f64> =
                        [-1.001 * reach, 1.001 * reach].into_iter().filter(|x| x.is_finite()).collect();
                    let goes_on = |&away: &f64| {
                        (loss.gradient(raw + away, y) - (slope + bend * away)).abs() <= 1e-13 * (1.0 + slope.abs())
                    };
                    assert!(
                        beyond.is_empty() || !beyond.iter().all(goes_on),
                        "{name} {raw} {y}: reaches beyond {reach}"
                    );
                }
            }
        }
    }

    /// From a prediction to one near by, and to others.
    const AWAY: [f64; 11] = [0.0, 1e-9, -1e-9, 0.03, -0.03, 0.0624, -0.0624, NEAR, -NEAR, 0.5, -900.0];

    /// Loss and slopes of one row.
    fn of_row(loss: &dyn Loss, raw: [f64; 3], y: &[f64]) -> (f64, [f64; 3]) {
        let mut slopes = raw;
        let value = loss.block(Set::BASELINE, &mut slopes, Told { y, weight: &[] }, 3);
        (value, slopes)
    }

    #[test]
    fn gradient_is_the_derivative_of_value() {
        for (name, loss, facts) in all() {
            for (raw, y) in samples(facts.targets) {
                let (_, slopes) = of_row(&*loss, raw, &y);
                for k in 0..3 {
                    let at = |h: f64| {
                        let mut moved = raw;
                        moved[k] += h;
                        of_row(&*loss, moved, &y).0
                    };
                    let (slope, scale) = ((at(1e-6) - at(-1e-6)) / 2e-6, 1.0 + slopes[k].abs() + 1e-3 * at(0.0).abs());
                    assert!((slope - slopes[k]).abs() <= 1e-6 * scale, "{name} at {raw:?}, {y:?}: {slope} {slopes:?}");
                }
            }
        }
    }

    #[test]
    fn slopes_keep_within_their_bound() {
        for (name, loss, facts) in all().filter(|(.., facts)| !facts.targets.coupled()) {
            for (raw, y) in samples(facts.targets) {
                let most = raw.iter().zip(&y).map(|(&raw, &y)| loss.gradient(raw, y).abs()).fold(0.0, f64::max);
                assert!(most <= loss.steepest(), "{name} at {raw:?}, {y:?}: {most}");
            }
        }
    }

    #[test]
    fn what_is_no_number_has_no_loss() {
        for part in LOSSES {
            let (loss, facts) = loss(part.name, &[]).unwrap();
            for y in [-1.0, 1.0, 0.0].into_iter().filter(|&y| facts.targets.admit(y) && !facts.targets.coupled()) {
                assert!(loss.value(f64::NAN, y).is_nan(), "{}", part.name);
            }
        }
    }

    #[test]
    fn curvature_bounds_the_change_of_the_gradient() {
        for (name, loss, facts) in all() {
            let Some(bound) = facts.curvature else { continue };
            for (raw, y) in samples(facts.targets) {
                for along in [[1.0, 0.0, 0.0], [1.0, -1.0, 0.0], [0.0, -1.0, 1.0], [1.0, 1.0, 1.0]] {
                    let moved: [f64; 3] = std::array::from_fn(|k| raw[k] + 0.01 * along[k]);
                    let (before, after) = (of_row(&*loss, raw, &y).1, of_row(&*loss, moved, &y).1);
                    let change: f64 = (0..3).map(|k| along[k] * (after[k] - before[k]) / 0.01).sum();
                    let most = bound * along.iter().map(|a| a * a).sum::<f64>();
                    assert!(change >= -1e-9 && change <= most * (1.0 + 1e-9), "{name} at {raw:?}, {y:?}: {change}");
                }
            }
        }
    }

    #[test]
    fn block_is_the_formula_row_by_row() {
        for (name, loss, facts) in all() {
            let rows: Vec<([f64; 3], Vec<f64>)> = samples(facts.targets).into_iter().cycle().take(11).collect();
            let raw: Vec<f64> = rows.iter().flat_map(|(raw, _)| *raw).collect();
            let y: Vec<f64> = rows.iter().flat_map(|(_, y)| y.clone()).collect();
            for weight in [vec![], (0..11).map(|i| f64::from(i % 3)).collect::<Vec<_>>()] {
                let (mut slopes, mut expected) = (raw.clone(), 0.0);
                let sum = loss.block(Set::BASELINE, &mut slopes, Told { y: &y, weight: &weight }, 3);
                for (i, (raw, y)) in rows.iter().enumerate() {
                    let (s, (value, of_row)) = (weight.get(i).copied().unwrap_or(1.0), of_row(&*loss, *raw, y));
                    expected += s * value;
                    for k in 0..3 {
                        let (found, told) = (slopes[3 * i + k], s * of_row[k]);
                        assert!((found - told).abs() <= 1e-15 * told.abs(), "{name} {found} {told}");
                        if !facts.targets.coupled() {
                            assert_eq!(of_row[k], loss.gradient(raw[k], y[k]), "{name}");
                        }
                    }
                    if !facts.targets.coupled() {
                        let alone: f64 = (0..3).map(|k| loss.value(raw[k], y[k])).sum();
                        assert!((alone - value).abs() <= 1e-14 * alone.abs(), "{name}");
                    }
                }
                assert!((sum - expected).abs() <= 1e-14 * expected.abs(), "{name}");
            }
        }
    }

    #[test]
    fn one_output_is_as_many() {
        for (name, loss, facts) in all() {
            let y = if facts.targets.admit(0.0) { 0.0 } else { 1.0 };
            for raw in [-1.5, 0.3, 40.0] {
                let mut slope = [raw];
                let value = loss.block(Set::BASELINE, &mut slope, Told { y: &[y], weight: &[] }, 1);
                assert_eq!((value, slope[0]), (loss.value(raw, y), loss.gradient(raw, y)), "{name}");
            }
        }
    }

    #[test]
    fn targets_say_what_they_admit() {
        assert!(Targets::Real.admit(-1e300));
        assert!(Targets::NonNegative.admit(0.0) && !Targets::NonNegative.admit(-1.0));
        let binary = Targets::OneOf(&[0.0, 1.0]);
        assert!(binary.admit(1.0) && !binary.admit(0.5));
        assert_eq!(binary.to_string(), "one of 0, 1");
        let of_class = [0.0, 7.0, -1.0, 0.5, f64::NAN].map(|y| Targets::Class.admit(y));
        assert_eq!(of_class, [true, true, false, false, false]);
        assert!(Targets::Class.coupled() && !binary.coupled());
    }
}
