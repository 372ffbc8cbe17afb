//! Tests of every loss of the table.

use super::steps::MOST_BENT;
use super::*;

/// Raw predictions of rows of three outputs, and targets that each output or, of a loss that couples them, the row
/// is told; away from y = raw, where a kink may lie.
fn samples(targets: Targets) -> Vec<([f64; 3], Vec<f64>)> {
    let raws = [[-3.1, -1.2, -0.4], [0.3, 0.93, 2.7], [2.7, -1.2, 0.93], [-0.4, -0.4, -40.0], [0.3, 0.93, 45.0]];
    let ys: Vec<f64> = [-2.0, -1.0, 0.0, 1.0, 2.0, 5.0].into_iter().filter(|&y| targets.admit(y) && y < 3.0).collect();
    let told = if targets.coupled() { 1 } else { 3 };
    let told = |first: usize| (0..told).map(|k| ys[(first + k) % ys.len()]).collect();
    raws.iter().flat_map(|&raw| (0..ys.len()).map(move |first| (raw, first))).map(|(raw, y)| (raw, told(y))).collect()
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
                assert!((turn.steps[1] - step).abs() <= apart || (turn.steps[1].is_nan() && step.is_nan()), "{what}");
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
                let beyond: Vec<f64> = [-1.001 * reach, 1.001 * reach].into_iter().filter(|x| x.is_finite()).collect();
                let goes_on = |&away: &f64| {
                    (loss.gradient(raw + away, y) - (slope + bend * away)).abs() <= 1e-13 * (1.0 + slope.abs())
                };
                assert!(beyond.is_empty() || !beyond.iter().all(goes_on), "{name} {raw} {y}: reaches beyond {reach}");
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
