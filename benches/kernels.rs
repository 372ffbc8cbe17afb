//! The inner work alone: `cargo bench` times each kernel on every instruction set that the machine has.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use fastgd::data::{Dense, Pick, Problem, Rows};
use fastgd::gram;
use fastgd::kernels::{self, Bound, Eight, Lines, Online, Place, Set, Summed, Sums, Turn};
use fastgd::observe::{Alone, Watch};
use fastgd::permute::Pcg64;

fn main() {
    divan::main();
}

fn sets() -> Vec<&'static str> {
    Set::available().map(Set::name).collect()
}

fn set(name: &str) -> Set {
    Set::available().find(|set| set.name() == name).unwrap_or(Set::BASELINE)
}

fn wave(count: usize) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * 0.7).sin()).collect()
}

/// Rows of a block that stays in the first-level cache.
fn block(d: usize) -> usize {
    (2048 / d).clamp(8, 256)
}

#[divan::bench(args = sets(), consts = [1, 2, 5, 10, 13, 16, 20, 32, 100, 1000])]
fn forward<const D: usize>(bencher: Bencher, name: &str) {
    let (rows, w, set) = (wave(block(D) * D), wave(D), set(name));
    let mut raw = vec![0.0; block(D)];
    let lines = Lines::Together { values: &rows, stride: D, beyond: 0 };
    bencher
        .counter(ItemsCount::new(block(D)))
        .bench_local(|| kernels::forward(set, black_box(lines), D, &w, &[0.5], black_box(&mut raw)));
}

#[divan::bench(args = sets(), consts = [1, 2, 5, 10, 13, 16, 20, 32, 100, 1000])]
fn backward<const D: usize>(bencher: Bencher, name: &str) {
    let (rows, slope, set) = (wave(block(D) * D), wave(block(D)), set(name));
    let mut grad = vec![0.0; D];
    let lines = Lines::Together { values: &rows, stride: D, beyond: 0 };
    bencher
        .counter(ItemsCount::new(block(D)))
        .bench_local(|| kernels::backward(set, black_box(lines), D, &slope, black_box(&mut grad)));
}

#[divan::bench(args = sets(), consts = [1, 2, 5, 10, 13, 16, 20, 32, 100, 1000])]
fn gradient<const D: usize>(bencher: Bencher, name: &str) {
    let (rows, w, y, set) = (wave(block(D) * D), wave(D), wave(block(D)), set(name));
    let mut grad = vec![0.0; D];
    let lines = Lines::Together { values: &rows, stride: D, beyond: 0 };
    bencher.counter(ItemsCount::new(block(D))).bench_local(|| {
        kernels::gradient(set, black_box(lines), &w, 0.5, black_box(&mut grad), &mut |i, raw| {
            kernels::pointwise(set, raw, &y[i..], &[], 1, |raw, y| (raw - y) * (raw - y), |raw, y| 2.0 * (raw - y))
        })
    });
}

/// 64 rows, bound.
fn bound(set: Set, d: usize) -> Bound {
    let (rows, mut bound) = (wave(64 * d), Bound::default());
    let lines = Lines::Together { values: &rows, stride: d, beyond: 0 };
    kernels::gather(set, lines, d, Bound::stride(d), bound.room(64, d).unwrap());
    bound.bind(set, false);
    bound
}

#[divan::bench(args = sets(), consts = [1, 5, 10, 20, 32, 100])]
fn bind<const D: usize>(bencher: Bencher, name: &str) {
    let mut bound = bound(set(name), D);
    bencher.counter(ItemsCount::new(64usize)).bench_local(|| black_box(&mut bound).bind(set(name), false));
}

#[divan::bench(args = sets(), consts = [1, 5, 10, 20, 32, 100])]
fn online<const D: usize>(bencher: Bencher, name: &str) {
    let (rows, y, set) = (wave(64 * D), wave(64), set(name));
    let (mut w, mut b, rates) = (wave(D), [0.5], [1e-3 / D as f64; 64]);
    let lines = Lines::Together { values: &rows, stride: D, beyond: 0 };
    let (bound, mut near) = (bound(set, D), vec![Eight::default(); D.div_ceil(8)]);
    bencher.counter(ItemsCount::new(64usize)).bench_local(|| {
        let line = Online { w: &mut w, b: &mut b, squares: false, scales: &[], tail: &mut [] };
        match black_box(&bound).turns(0, 64) {
            Some(queue) if Bound::takes(set, D, 1) => kernels::in_turns(set, queue, line, &mut |turn: &mut Turn| {
                let (y, rates) = (&y[turn.first..][..turn.count], &rates[turn.first..][..turn.count]);
                kernels::steps(set, turn, (), |raw, r| rates[r] * 2.0 * (raw - y[r]));
            }),
            _ => {
                kernels::online(set, black_box(lines), line, &mut near, &mut |i, raw, _| rates[i] * 2.0 * (raw - y[i]))
            }
        }
    });
}

#[divan::bench(args = [1000, 100_000, 1_000_000])]
fn permutation(bencher: Bencher, n: usize) {
    let mut generator = Pcg64 { state: 1, increment: 3, half: 0, spare: false };
    let mut order = Vec::new();
    bencher
        .counter(ItemsCount::new(n))
        .bench_local(|| generator.permutation(n, black_box(&mut order), &mut || Ok(())).is_ok());
}

#[divan::bench(args = sets(), consts = [5, 21, 101])]
fn products<const D: usize>(bencher: Bencher, name: &str) {
    let (columns, set) = (vec![Eight([0.5; 8]); 16 * D], set(name));
    let mut sums = vec![0.0; D * D];
    bencher
        .counter(ItemsCount::new(128usize))
        .bench_local(|| kernels::products(set, black_box(&columns), D, &[], black_box(&mut sums), Place::default()));
}

#[divan::bench(args = sets(), consts = [10, 20, 100])]
fn centre<const D: usize>(bencher: Bencher, name: &str) {
    let (rows, away, set) = (wave(64 * D), wave(D), set(name));
    let (mut out, mut sums) = (vec![Eight::default(); 8 * D], vec![Sums::default(); D]);
    let lines = Lines::Together { values: &rows, stride: D, beyond: 0 };
    bencher.counter(ItemsCount::new(64usize)).bench_local(|| {
        kernels::centre(set, black_box(lines), &away, &[], Summed { out: &mut out, stride: D, sums: &mut sums });
    });
}

#[divan::bench(consts = [10, 20, 100])]
fn fill<const D: usize>(bencher: Bencher) {
    let values = wave(block(D) * D);
    let (rows, mut out) = (Dense::new(&values, D).unwrap(), vec![0.0; block(D) * D]);
    bencher
        .counter(ItemsCount::new(block(D)))
        .bench_local(|| rows.fill(&Pick::Run(0..block(D)), D, black_box(&mut out)));
}

#[divan::bench(args = sets(), consts = [10, 20, 100], sample_count = 10)]
fn moments<const D: usize>(bencher: Bencher, name: &str) {
    let n = 100_000;
    let (x, y, set) = (wave(n * D), wave(n), set(name));
    let rows = Dense::new(&x, D).unwrap();
    let problem = Problem::new(&rows, n, &y, 1, &[]).unwrap();
    bencher.counter(ItemsCount::new(n)).bench_local(|| {
        let mut alone = Alone;
        gram::moments(black_box(&problem), true, set, 1, &mut Watch::new(&mut alone)).unwrap().weight
    });
}
