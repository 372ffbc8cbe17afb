//! Tests: every kernel beside its naive twin, on every instruction set that the machine has.

use super::*;

#[test]
fn norm_bears_every_size() {
    for size in [1.0, 1e-170, 1e-310, 1e170, 1e300] {
        let found = norm([3.0 * size, -4.0 * size].into_iter()) / size;
        assert!((found - 5.0).abs() <= 1e-9, "{size}: {found}");
    }
    assert_eq!(norm([0.0, 0.0].into_iter()), 0.0);
    assert_eq!(norm([1.0, f64::INFINITY].into_iter()), f64::INFINITY);
    assert!(norm([1.0, f64::NAN, f64::INFINITY].into_iter()).is_nan());
}

#[test]
fn formulas_agree_with_their_naive_twin() {
    for set in Set::available() {
        for (count, width) in (0..40).map(|count| (count, 1)).chain([(21, 3), (300, 1), (300, 2), (130, 65)]) {
            let (a, b) = (wave(count, 0.7), wave(count + 5, 0.3)); // what is over is not looked at
            let (f, g) = (|a: f64, b: f64| a * b + 1.0, |a: f64, b: f64| if a > b { a - b } else { 0.5 * a });
            for s in [vec![], wave(count / width, 0.4)] {
                let (mut found, mut expected) = (a.clone(), a.clone());
                let sum = pointwise(set, &mut found, &b, &s, width, f, g);
                let truth = naive::pointwise(&mut expected, &b, &s, width, f, g);
                near(&[sum], &[truth], &format!("{set:?} {count}"));
                assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn softmax_agrees_with_its_naive_twin() {
    for set in Set::available() {
        for (rows, outputs) in (0..20).flat_map(|rows| [1, 2, 3, 10, 65].map(|outputs| (rows, outputs))) {
            for size in [1.0, 30.0, 1000.0] {
                let raw: Vec<f64> = wave(rows * outputs, 0.7).iter().map(|raw| size * raw).collect();
                let y: Vec<f64> = (0..rows).map(|i| (i * 7 % outputs) as f64).collect();
                for s in [vec![], (0..rows).map(|i| (i % 3) as f64).collect()] {
                    let (mut found, mut expected) = (raw.clone(), raw.clone());
                    let sum = softmax(set, &mut found, &y, &s, outputs);
                    let truth = naive::softmax(&mut expected, &y, &s, outputs);
                    let what = format!("{set:?} rows={rows} outputs={outputs} size={size}");
                    near(&[sum], &[truth], &what);
                    near(&found, &expected, &what);
                }
            }
        }
        let (y, raw) = ([2.0, 0.0, 10.0], wave(33, 0.9));
        let mut together = raw.clone();
        softmax(set, &mut together, &y, &[], 11);
        for (i, row) in raw.chunks(11).enumerate() {
            let mut alone = row.to_vec();
            softmax(set, &mut alone, &y[i..=i], &[], 11);
            assert_eq!(alone, together[11 * i..][..11], "{set:?}");
        }
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for at in 0..3 {
                let mut raw = [0.5, 0.0, -1.0];
                raw[at] = wrong;
                let sum = softmax(set, &mut raw, &[0.0], &[], 3);
                assert!(!sum.is_finite() || (wrong < 0.0 && at > 0), "{set:?} {wrong} {at}: {sum}");
            }
        }
    }
}

#[test]
fn softmax_in_turn_agrees_with_its_naive_twin() {
    for set in Set::available() {
        for (rows, outputs) in (1..=TURN).flat_map(|rows| [1, 2, 3, 8, 10, 16, 65].map(|outputs| (rows, outputs))) {
            for (size, speed) in [(1.0, 0.1), (30.0, 1.0), (1000.0, 0.1), (1.0, 100.0), (1000.0, 1000.0)] {
                let raw: Vec<f64> = wave(rows * outputs, 0.7).iter().map(|raw| size * raw).collect();
                let y: Vec<f64> = (0..rows).map(|i| (i * 7 % outputs) as f64).collect();
                let mut moves = Moves::default();
                moves.shared.as_flattened_mut().copy_from_slice(&wave(TURN * TURN, 0.9));
                moves.scales.copy_from_slice(&wave(TURN, 0.3).iter().map(|scale| speed * scale).collect::<Vec<_>>());
                for s in [vec![], (0..rows).map(|i| (i % 3) as f64).collect()] {
                    let (mut found, mut expected) = (raw.clone(), raw.clone());
                    let sum = softmax_in_turn(set, &mut found, &y, &s, outputs, &moves);
                    let truth = naive::softmax_in_turn(&mut expected, &y, &s, outputs, &moves);
                    let what = format!("{set:?} rows={rows} outputs={outputs} size={size} speed={speed}");
                    let apart = |found: f64, expected: f64| (found - expected).abs() / (size + speed);
                    assert!(apart(sum, truth) <= 1e-11, "{what}: {sum} {truth}");
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!(apart(*found, *expected) <= 1e-12, "{what}: {found} {expected}");
                    }
                }
            }
        }
        for rows in [1, 2, TURN] {
            // classes that lack more than a number's exponent have no chance at all, however far coefficients are
            let (mut raw, moves) =
                ([0.0, 1000.0, 1750.5].repeat(rows), Moves { scales: [1.0; TURN], ..Moves::default() });
            let (mut apart, y) = (raw.clone(), vec![2.0; rows]);
            assert_eq!(softmax_in_turn(set, &mut raw, &y, &[], 3, &moves), 0.0);
            assert_eq!(softmax(set, &mut apart, &y, &[], 3), 0.0);
            assert!(raw.iter().chain(&apart).all(|&slope| slope == 0.0), "{set:?} {raw:?}");
        }
        for wrong in [f64::NAN, f64::INFINITY] {
            let (mut raw, moves) = (wave(3 * TURN, 0.7), Moves { scales: [-0.1; TURN], ..Moves::default() });
            raw[10] = wrong;
            assert!(!softmax_in_turn(set, &mut raw, &[1.0; TURN], &[], 3, &moves).is_finite(), "{set:?} {wrong}");
        }
    }
}

#[test]
fn single_rows_agree_with_their_naive_twin() {
    let at = [3, 0, 7, 7, 1, 2, 9, 4, 5, 8, 6];
    let mut scales: Vec<f64> = (0..=at.len()).map(|i| 0.9f64.powi(i as i32)).collect();
    scales.extend([0.0; 9]); // of rows that nobody visits
    for set in Set::available() {
        for d in (1..60).chain([64, 65, 101, 128, 130]) {
            let (values, y) = (wave(12 * (d + 3), 0.7), wave(at.len(), 0.2));
            let short_values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            for count in [at.len(), 8, 3] {
                let (at, mut scales) = (&at[..count], scales.clone());
                scales[count + 1..].fill(0.0);
                let near_by = Lines::Together { values: &values[..count * (d + 3)], stride: d + 3, beyond: 0 };
                let apart = Lines::Apart { values: &values, stride: d, at, soon: &at[2..] };
                let short = Lines::Apart { values: &short_values, stride: d, at, soon: &at[2..] };
                let what = format!("{set:?} {d} {count}");
                stepped(set, near_by, d, (&[], &y), (1, 0.0, 0), &what);
                stepped(set, apart, d, (&[], &y), (0, 2.0, d), &what);
                stepped(set, near_by, d, (&[], &y), (1, 0.5, d + 1), &what);
                stepped(set, apart, d, (&scales, &y), (1, 2.0, 0), &what);
                let widened: Vec<f64> = short_values.iter().map(|&x| x.into()).collect();
                let wide = Lines::Apart { values: &widened, stride: d, at, soon: &at[2..] };
                for (scales, (intercepts, implicit, tail)) in [(&[][..], (1, 0.5, d + 1)), (&scales, (0, 0.0, 0))] {
                    let found = stepped(set, short, d, (scales, &y), (intercepts, implicit, tail), &what);
                    assert_eq!(found, stepped(set, wide, d, (scales, &y), (intercepts, implicit, tail), &what));
                }
            }
        }
    }
}

#[test]
fn bonds_agree_with_their_naive_twin() {
    for set in Set::available().filter(|&set| set != Set::NAIVE) {
        for (d, rows) in (1..40).chain([101, 128]).flat_map(|d| [1, 7, 8, 19].map(|rows| (d, rows))) {
            let values = wave(rows * d, 0.7);
            let lines = Lines::Together { values: &values, stride: d, beyond: 0 };
            let [found, expected] = [set, Set::NAIVE].map(|set| bound(set, lines, d, true).bonds);
            for (found, expected) in found.iter().zip(&expected) {
                let what = format!("{set:?} d={d} rows={rows}");
                near(found.shared.as_flattened(), expected.shared.as_flattened(), &what);
                near(&found.square, &expected.square, &what);
                assert!(found.sound && expected.sound);
            }
            assert_eq!(found.len(), rows.div_ceil(TURN));
        }
    }
}

fn bound<T: Element>(set: Set, lines: Lines<T>, d: usize, squares: bool) -> Bound {
    let mut bound = Bound::default();
    gather(set, lines, d, Bound::stride(d), bound.room(lines.len(), d).unwrap());
    bound.bind(set, squares);
    bound
}

/// In turns where rows take them.
fn by_rows<T: Element>(set: Set, lines: Lines<T>, line: Online, steps: &mut dyn FnMut(&mut Turn)) {
    let (d, count) = (line.w.len(), lines.len());
    match bound(set, lines, d, line.squares).turns(0, count) {
        Some(queue) if Bound::takes(set, d, 1) => in_turns(set, queue, line, steps),
        _ => online(set, lines, line, &mut vec![Eight([3.0; 8]); d.div_ceil(8)], &mut |i, raw, square| {
            let mut turn = Turn { first: i, count: 1, ..Turn::default() };
            (turn.raw[0], turn.square[0]) = (raw, square);
            steps(&mut turn);
            turn.steps[0]
        }),
    }
}

/// Steps by rows with so many intercepts, implicit or not, and a tail of so many numbers, beside the twin.
fn stepped<T: Element>(
    set: Set,
    lines: Lines<T>,
    d: usize,
    (scales, y): (&[f64], &[f64]),
    (intercepts, implicit, tail): (usize, f64, usize),
    what: &str,
) -> Vec<f64> {
    let rates = vec![0.1 / d as f64; y.len()];
    let [found, expected] = [set, Set::NAIVE].map(|set| {
        let (mut w, mut b, mut tail) = (wave(d, 1.3), wave(intercepts + 1, 0.4)[1..].to_vec(), vec![1.0; tail]);
        let mut seen = Vec::new();
        let line = Online { w: &mut w, b: &mut b, squares: implicit != 0.0, scales, tail: &mut tail };
        by_rows(set, lines, line, &mut |turn| {
            let (first, square) = (turn.first, turn.square);
            let (y, rates) = (&y[first..], &rates[first..]);
            steps(set, turn, (), |raw, r| rates[r] * (raw - y[r]) / (1.0 + implicit * rates[r] * square[r]));
            seen.extend_from_slice(&turn.raw[..turn.count]);
        });
        [w, b, tail, seen].concat()
    });
    assert_eq!(found.len(), expected.len());
    near(&found, &expected, what);
    found
}

/// Products of two rows that are no number, though no step that the rows take is too large.
#[test]
fn huge_rows_step_as_their_naive_twin() {
    for set in Set::available() {
        for d in [1, 3, 10, 20] {
            for huge in [&[3][..], &[9], &[2, 5], &[0, 7, 8, 10]] {
                let (mut values, y) = (wave(11 * d, 0.7), wave(11, 0.2));
                huge.iter().for_each(|&i| values[i * d..][..d].iter_mut().for_each(|x| *x *= 1e160));
                let lines = Lines::Together { values: &values, stride: d, beyond: 0 };
                let [found, expected] = [set, Set::NAIVE].map(|set| {
                    let (mut w, mut b, mut tail) = (vec![0.0; d], [0.0], vec![0.0; d + 1]);
                    let line = Online { w: &mut w, b: &mut b, squares: false, scales: &[], tail: &mut tail };
                    by_rows(set, lines, line, &mut |turn| {
                        let y = &y[turn.first..];
                        steps(set, turn, (), |raw, r| if raw < y[r] { -1e-165 } else { 1e-165 });
                    });
                    [w, b.to_vec(), tail].concat()
                });
                for (found, expected) in found.iter().zip(&expected) {
                    let apart = (found - expected).abs();
                    assert!(apart <= 1e-12 * expected.abs(), "{set:?} {d} {huge:?}: {found} {expected}");
                }
            }
        }
    }
}

#[test]
fn gradients_agree_with_their_naive_twin() {
    let at = [3, 0, 7, 7, 1, 2, 9, 4, 5, 8, 6];
    for set in Set::available() {
        for d in (1..45).chain([64, 101, 300]) {
            let (values, y, w) = (wave(12 * (d + 3), 0.7), wave(at.len(), 0.2), wave(d, 1.3));
            for rows in 0..at.len() {
                let together = Lines::Together { values: &values[..rows * (d + 3)], stride: d + 3, beyond: d };
                let close = Lines::Together { values: &values[..rows * d], stride: d, beyond: 0 };
                let apart = Lines::Apart { values: &values, stride: d + 2, at: &at[..rows], soon: &at[rows.min(2)..] };
                for lines in [together, close, apart] {
                    let f = &mut |i: usize, raw: &mut [f64]| {
                        naive::pointwise(raw, &y[i..], &[], 1, |raw, y| (raw - y).powi(2), |raw, y| 2.0 * (raw - y))
                    };
                    let (mut found, mut expected) = (w.clone(), w.clone());
                    let (loss, slope) = gradient(set, lines, &w, 0.3, &mut found, f);
                    let (loss_, slope_) = naive::gradient(lines, &w, 0.3, &mut expected, f);
                    found.extend([loss, slope]);
                    expected.extend([loss_, slope_]);
                    near(&found, &expected, &format!("{set:?} d={d} rows={rows}"));
                }
                let half: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                let wide: Vec<f64> = half.iter().map(|&x| x.into()).collect();
                let f = &mut |i: usize, raw: &mut [f64]| {
                    naive::pointwise(raw, &y[i..], &[], 1, |raw, y| (raw - y).powi(2), |raw, y| 2.0 * (raw - y))
                };
                let (at, soon, mut grads) = (&at[..rows], &at[rows.min(2)..], [w.clone(), w.clone()]);
                let lines = Lines::Apart { values: &half, stride: d + 2, at, soon };
                let of_half = gradient(set, lines, &w, 0.3, &mut grads[0], f);
                let lines = Lines::Apart { values: &wide, stride: d + 2, at, soon };
                let of_wide = gradient(set, lines, &w, 0.3, &mut grads[1], f);
                assert_eq!((of_half, &grads[0]), (of_wide, &grads[1]), "{set:?} d={d} rows={rows}");
            }
        }
    }
}

#[test]
fn single_numbers_agree_with_their_naive_twin() {
    let (at, in_order): (Vec<u32>, Vec<u32>) = (0..70).map(|i| (i * 9 % 70, i)).unzip();
    let (f, g) = (|raw: f64, y: f64| (raw - y).powi(2) + 1.0, |raw: f64, y: f64| 2.0 * (raw - y) + 0.5);
    for set in Set::available() {
        for count in 0..70 {
            let (values, y, s) = (wave(210, 0.7), wave(count, 0.2), wave(count, 0.4));
            let half: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            let wide: Vec<f64> = half.iter().map(|&x| x.into()).collect();
            let found = |lines, s| singles(set, lines, (1.3, 0.3), (&y, s), f, g);
            for s in [&[][..], &s] {
                let what = format!("{set:?} {count} {}", s.len());
                let together = Lines::Together { values: &values[..count], stride: 1, beyond: 9 };
                let strided = Lines::Together { values: &values[..3 * count], stride: 3, beyond: 0 };
                let apart = Lines::Apart { values: &values, stride: 2, at: &at[..count], soon: &at[count.min(8)..] };
                for lines in [together, strided, apart] {
                    near(&found(lines, s), &naive::singles(lines, (1.3, 0.3), (&y, s), f, g), &what);
                }
                let short = Lines::Together { values: &half[..count], stride: 1, beyond: 0 };
                let widened = Lines::Together { values: &wide[..count], stride: 1, beyond: 0 };
                let picked = Lines::Apart { values: &wide, stride: 1, at: &in_order[..count], soon: &[] };
                let of_short = singles(set, short, (1.3, 0.3), (&y, s), f, g);
                assert_eq!([of_short; 2], [found(widened, s), found(picked, s)], "{what}");
            }
        }
    }
}

#[test]
fn whatever_is_not_finite_is_found() {
    for set in Set::available() {
        for count in 0..70 {
            let mut values = wave(count, 0.7);
            values.iter_mut().step_by(3).for_each(|value| *value *= f64::MAX);
            assert!(finite(set, &values), "{set:?} {count}");
            for at in 0..count {
                for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    let held = std::mem::replace(&mut values[at], wrong);
                    assert!(!finite(set, &values), "{set:?} {count} {at}");
                    values[at] = held;
                }
            }
        }
    }
}

#[test]
fn untouched_memory_is_zeros_or_none() {
    assert_eq!(untouched(1000), Some(vec![0.0; 1000]));
    assert_eq!((untouched(0), untouched(usize::MAX / 16), untouched(usize::MAX)), (None, None, None));
}

#[test]
fn a_set_is_named_or_refused() {
    assert_eq!(named(None).ok(), Set::available().last());
    assert_eq!(named(Some("naive".as_ref())).ok(), Some(Set::NAIVE));
    let told = named(Some("sse9".as_ref())).unwrap_err().to_string();
    assert!(told.starts_with("FASTGD_KERNEL must be one of naive, baseline"), "{told}");
}

fn wave(count: usize, speed: f64) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * speed).sin()).collect()
}

fn near(found: &[f64], expected: &[f64], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-13 * (1.0 + expected.abs()), "{what}: {found} {expected}");
    }
}

/// Rows that are turned into columns hold the same numbers, and batches of them descend as their naive twin does.
#[test]
fn batches_by_columns_agree_with_their_naive_twin() {
    let at =
        [3, 0, 7, 7, 1, 2, 9, 4, 5, 8, 6, 10, 3, 3, 11, 2, 0, 1, 4, 8, 9, 9, 5, 6, 7, 10, 11, 0, 2, 4, 6, 8, 1, 3, 5];
    let (f, g) = (|raw: f64, y: f64| (raw - y) * (raw - y), |raw: f64, y: f64| 2.0 * (raw - y));
    for set in Set::available() {
        for d in 1..16 {
            let (values, y) = (wave(12 * d, 0.7), wave(at.len(), 0.2));
            let short: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            for (size, count) in [(1, 3), (2, 5), (7, 14), (8, 9), (10, 25), (24, 31), (32, 35), (33, 34), (40, 35)] {
                let what = format!("{set:?} d={d} size={size} count={count}");
                let (apart, batches) = ((&at[..count], &at[2..]), count / size);
                let room = (batches * size.div_ceil(8) + (count % size).div_ceil(8)) * d;
                let lines = Lines::Apart { values: &values, stride: d, at: apart.0, soon: apart.1 };
                let narrow = Lines::Apart { values: &short, stride: d, at: apart.0, soon: apart.1 };
                let [(eights, narrow), expected] = [set, Set::NAIVE].map(|set| {
                    let mut out = [vec![Eight([9.0; 8]); room], vec![Eight([9.0; 8]); room]];
                    by_eights(set, lines, d, size, &mut out[0]);
                    by_eights(set, narrow, d, size, &mut out[1]);
                    let [wide, narrow] = out;
                    (wide, narrow)
                });
                assert_eq!((&eights, &narrow), (&expected.0, &expected.1), "{what}");
                let rows = Columns { eights: &eights, size, count };
                for (intercepts, weighted, steps) in [(1, false, true), (0, true, true), (1, true, false)] {
                    let rates = vec![0.1 / (d * size) as f64; if steps { count.div_ceil(size) } else { 0 }];
                    let s: Vec<f64> = (0..if weighted { count } else { 0 }).map(|i| (i % 3) as f64).collect();
                    let [found, expected] = [set, Set::NAIVE].map(|set| {
                        let (mut w, mut b, mut sum) = (wave(d, 1.3), vec![0.5; intercepts], 0.25);
                        let (mut tail, mut grad) = (vec![1.0; d + intercepts], vec![7.0; d + intercepts]);
                        let (w_of, b_of) = (&mut w[..], &mut b[..]);
                        let line =
                            Downhill { w: w_of, b: b_of, rates: &rates, factor: 0.5, grad: &mut grad, tail: &mut tail };
                        downhill(set, rows, line, (&y[..count], &s), f, g, &mut sum);
                        [w, b, grad, tail, vec![sum]].concat()
                    });
                    near(&found, &expected, &what);
                }
            }
        }
    }
}

/// What `centre` leaves, of columns between others.
#[derive(Debug, PartialEq)]
struct Centred(Vec<Eight>, Vec<Sums>);

impl Centred {
    fn of(run: impl FnOnce(Summed), rows: usize, d: usize) -> Self {
        let mut out = vec![Eight([3.0; 8]); rows.div_ceil(8) * (d + 2)];
        let mut sums = vec![Sums { sum: 0.5, square: 0.25, any: false }; d];
        run(Summed { out: &mut out, stride: d + 2, sums: &mut sums });
        Centred(out, sums)
    }

    fn agrees(&self, expected: &Self, what: &str) {
        assert_eq!(self.0, expected.0, "{what}");
        for (found, expected) in self.1.iter().zip(&expected.1) {
            near(&[found.sum, found.square], &[expected.sum, expected.square], what);
            assert_eq!(found.any, expected.any, "{what}");
        }
    }
}

/// On every set that the machine has, over every number of features, outputs and rows, and rows that lie anyhow.
#[test]
fn every_kernel_agrees_with_its_naive_twin() {
    let at = [3, 0, 7, 7, 1, 2, 9, 4, 5, 8, 6];
    for set in Set::available() {
        for d in (1..40).chain([64, 101]) {
            let values = wave(12 * (d + 3), 0.7);
            for rows in 0..at.len() {
                let together = Lines::Together { values: &values[..rows * (d + 3)], stride: d + 3, beyond: 0 };
                let apart = Lines::Apart { values: &values, stride: d, at: &at[..rows], soon: &at[rows.min(2)..] };
                for (lines, outputs) in
                    [(together, 1), (together, 3), (together, 10), (apart, 1), (apart, 2), (apart, 7)]
                {
                    let what = format!("{set:?} d={d} rows={rows} outputs={outputs}");
                    let (w, b) = (wave(d * outputs, 1.3), wave(outputs, 0.3));
                    let (mut raw, mut expected) = (vec![9.0; rows * outputs], vec![0.0; rows * outputs]);
                    forward(set, lines, d, &w, &b, &mut raw);
                    naive::forward(lines, d, &w, &b, &mut expected);
                    near(&raw, &expected, &what);
                    let (mut grad, mut expected) = (w.clone(), w.clone());
                    backward(set, lines, d, &raw, &mut grad);
                    naive::backward(lines, d, &raw, &mut expected);
                    near(&grad, &expected, &what);
                    let half: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                    let wide: Vec<f64> = half.iter().map(|&x| x.into()).collect();
                    let (away, s) = (&w[..d], [Eight([2.0; 8]), Eight(std::array::from_fn(|r| r as f64))]);
                    for s in [&[][..], &s] {
                        let found = Centred::of(|columns| centre(set, lines, away, s, columns), rows, d);
                        let expected = Centred::of(|columns| naive::centre(lines, away, s, columns), rows, d);
                        found.agrees(&expected, &what);
                        let half = Lines::Together { values: &half[..rows * d], stride: d, beyond: 0 };
                        let found = Centred::of(|columns| centre(set, half, away, s, columns), rows, d);
                        let wide = Lines::Together { values: &wide[..rows * d], stride: d, beyond: 0 };
                        let same = Centred::of(|columns| centre(set, wide, away, s, columns), rows, d);
                        assert_eq!(found, same, "{what}");
                        let expected = Centred::of(|columns| naive::centre(wide, away, s, columns), rows, d);
                        found.agrees(&expected, &what);
                    }
                }
            }
        }
        let by_eight = |count, speed| wave(8 * count, speed).as_chunks().0.iter().map(|x| Eight(*x)).collect();
        for d in (1..20).chain([24, 40]) {
            for rows in [0, 1, 3] {
                for s in [vec![], by_eight(rows, 0.4)] {
                    let (columns, mut found): (Vec<Eight>, _) = (by_eight(rows * d, 0.9), vec![1.0; d * d]);
                    let (mut expected, what) = (found.clone(), format!("{set:?} d={d} rows={rows}"));
                    products(set, &columns, d, &s, &mut found, Place::of(&columns));
                    naive::products(&columns, d, &s, &mut expected);
                    for j in 0..d {
                        near(&found[j * d + j + 1..(j + 1) * d], &expected[j * d + j + 1..(j + 1) * d], &what);
                    }
                }
            }
        }
    }
}
