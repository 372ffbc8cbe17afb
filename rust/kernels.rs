//! Kernels: the passes over rows that everything else is made of, compiled for every instruction set and chosen when
//! the program runs. Rows may be stored as f32, sums are f64. The only room that knows of instruction sets. Each has
//! its twin of the same name in `naive`, which says what it does.

mod gradient;
mod gram;
mod lanes;
pub mod naive;
mod online;
mod passes;
mod softmax;
mod walk;

use std::sync::OnceLock;

use self::lanes::Lanes;
use crate::error::Error;

/// A stored number.
pub trait Element: Copy + Send + Sync + Into<f64> {
    /// The nearest stored number.
    fn narrow(value: f64) -> Self;

    /// The values themselves, where they need no widening.
    fn wide(_values: &[Self]) -> Option<&[f64]> {
        None
    }

    /// The values themselves, where they are half as long.
    fn half(_values: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Element for f32 {
    #[inline]
    fn narrow(value: f64) -> Self {
        value as f32
    }

    #[inline]
    fn half(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
}

impl Element for f64 {
    #[inline]
    fn narrow(value: f64) -> Self {
        value
    }

    #[inline]
    fn wide(values: &[Self]) -> Option<&[f64]> {
        Some(values)
    }
}

/// Rows where they lie, each of at least d numbers, of which the first d count.
#[derive(Debug, Clone, Copy)]
pub enum Lines<'a, T = f64> {
    /// One after the other, every `stride` numbers. They are visited where they lie, and as many numbers lie `beyond`
    /// them that come next; or they were brought together, and nothing is.
    Together { values: &'a [T], stride: usize, beyond: usize },
    /// The rows `at` of an array with a row every `stride` numbers; `soon` are asked for meanwhile.
    Apart { values: &'a [T], stride: usize, at: &'a [u32], soon: &'a [u32] },
}

/// Which instructions the kernels use: one that this machine has, as there is no other way to come by a `Set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Naive,
    Baseline,
    Avx2,
    Avx512,
}

/// Every kind there is, and what it is called.
const KINDS: &[(Kind, &str)] =
    &[(Kind::Naive, "naive"), (Kind::Baseline, "baseline"), (Kind::Avx2, "avx2"), (Kind::Avx512, "avx512")];

impl Set {
    /// One row at a time, summed in order.
    pub const NAIVE: Set = Set(Kind::Naive);
    /// What every processor of the architecture has.
    pub const BASELINE: Set = Set(Kind::Baseline);

    /// The name that users see.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self.0).map_or("", |(_, name)| name)
    }

    /// Those that this machine has, the best last.
    pub fn available() -> impl Iterator<Item = Set> {
        KINDS.iter().filter(|(kind, _)| kind.there()).map(|(kind, _)| Set(*kind))
    }
}

impl Kind {
    fn there(self) -> bool {
        match self {
            Kind::Naive | Kind::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => {
                Kind::Avx2.there() && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Kind::Avx2 | Kind::Avx512 => false,
        }
    }
}

/// The set in use: the best that the machine has, or what the environment variable FASTGD_KERNEL asked for at first
/// use.
///
/// # Errors
/// If that names none that the machine has.
pub fn set() -> Result<Set, Error> {
    static CHOSEN: OnceLock<Result<Set, Error>> = OnceLock::new();
    CHOSEN.get_or_init(|| named(std::env::var_os("FASTGD_KERNEL").as_deref())).clone()
}

fn named(asked: Option<&std::ffi::OsStr>) -> Result<Set, Error> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(Set::available().last().unwrap_or(Set::BASELINE));
    };
    Set::available().find(|set| asked == set.name()).ok_or_else(|| {
        let names: Vec<&str> = Set::available().map(Set::name).collect();
        Error::argument("FASTGD_KERNEL", format!("{asked:?}"), format!("one of {} on this machine", names.join(", ")))
    })
}

/// A kernel with its arguments. `run` must be inlined, so that it is compiled for the set it is called under.
trait Work {
    fn run<V: Lanes>(self);
}

#[inline]
#[allow(unsafe_code, reason = "functions for other instruction sets are unsafe to call")]
fn run<K: Work>(set: Set, work: K) {
    match set.0 {
        Kind::Naive | Kind::Baseline => work.run::<lanes::Plain>(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is a `Set` of this kind only where the processor was asked (`Set::available`).
        Kind::Avx2 => unsafe { avx2(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx512(work) },
        #[cfg(not(target_arch = "x86_64"))]
        Kind::Avx2 | Kind::Avx512 => work.run::<lanes::Plain>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Work>(work: K) {
    work.run::<lanes::Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn avx512<K: Work>(work: K) {
    work.run::<lanes::Avx512>();
}

/// raw_ik = x_i . w_k + b_k; `w` is (outputs, d), `b` may be empty, `raw` is (rows, outputs).
#[inline]
pub fn forward(set: Set, lines: Lines, d: usize, w: &[f64], b: &[f64], raw: &mut [f64]) {
    match set {
        Set::NAIVE => naive::forward(lines, d, w, b, raw),
        _ => run(set, passes::Forward { lines, d, w, b, raw }),
    }
}

/// grad_k += sum_i slope_ik x_i
#[inline]
pub fn backward(set: Set, lines: Lines, d: usize, slope: &[f64], grad: &mut [f64]) {
    match set {
        Set::NAIVE => naive::backward(lines, d, slope, grad),
        _ => run(set, passes::Backward { lines, d, slope, grad }),
    }
}

/// What is told the raw predictions of the rows from i on: it replaces them by slopes, and returns the sum of losses.
pub type Slopes<'a, 'f> = &'a mut (dyn FnMut(usize, &mut [f64]) -> f64 + 'f);

/// With the slopes at raw_i = w . x_i + b: grad += sum_i slope_i x_i. Returns the sums of losses and slopes. Each row
/// is read once from memory.
#[inline]
pub fn gradient<T: Element>(
    set: Set,
    lines: Lines<T>,
    w: &[f64],
    b: f64,
    grad: &mut [f64],
    slopes: Slopes,
) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    match set {
        Set::NAIVE => sums = naive::gradient(lines, w, b, grad, slopes),
        _ => run(set, gradient::Gradient { lines, w, b, grad, slopes, sums: &mut sums }),
    }
    sums
}

/// Of rows of one number, with raw_i = w x_i + b: the sums of s_i f(raw_i, y_i), of the slopes s_i g(raw_i, y_i), and of
/// slopes times x_i. `s` may be empty for all ones.
#[inline]
pub fn singles<T: Element>(
    set: Set,
    lines: Lines<T>,
    (w, b): (f64, f64),
    (y, s): (&[f64], &[f64]),
    f: impl Fn(f64, f64) -> f64,
    g: impl Fn(f64, f64) -> f64,
) -> [f64; 3] {
    let mut sums = [0.0; 3];
    match set {
        Set::NAIVE => sums = naive::singles(lines, (w, b), (y, s), f, g),
        _ => run(set, gradient::Singles { lines, w, b, y, s, f, g, sums: &mut sums }),
    }
    sums
}

/// Rows that take their steps together.
pub const TURN: usize = 8;

/// A few rows that take a step each, one after the other, as their formula sees them. Every lane of numbers has a line
/// of the caches to itself, so that nobody waits for what was stored across two.
#[derive(Debug, Clone, Default)]
#[repr(C, align(64))]
pub struct Turn {
    /// x_r . w + b before the first of the steps; after `steps`, what each row found when its turn came.
    pub raw: [f64; TURN],
    /// By how much a step of row q lowers what row r > q finds: x_q . x_r, scaled as coefficients are, and 1 more with
    /// an intercept. 0 of rows before.
    pub shared: [[f64; TURN]; TURN],
    /// |x_r|^2, and 1 more with an intercept, if asked for.
    pub square: [f64; TURN],
    /// To be set: w -= step_r x_r, its scale being multiplied in, and b -= step_r.
    pub steps: [f64; TURN],
    /// The first of them, and how many there are.
    pub first: usize,
    pub count: usize,
}

/// Steps by single rows: a line w . x + b that each row moves.
pub struct Online<'a> {
    pub w: &'a mut [f64],
    /// Empty, or one.
    pub b: &'a mut [f64],
    /// Whether |x|^2 is asked for.
    pub squares: bool,
    /// What w is to be multiplied with when each row comes, and after the last; empty for all ones.
    pub scales: &'a [f64],
    /// The sum of all w and b after each step, or empty.
    pub tail: &'a mut [f64],
}

/// For the rows in turn, w -= step x_i and b -= step, where `steps` says which.
#[inline]
pub fn online<T: Element>(set: Set, lines: Lines<T>, line: Online, steps: &mut dyn FnMut(&mut Turn)) {
    match set {
        Set::NAIVE => naive::online(lines, line, steps),
        _ => run(set, online::ByRows { lines, line, steps }),
    }
}

/// The steps of a turn, f(raw_r, r) being that of a row that finds raw_r when its turn comes.
#[inline]
pub fn steps(set: Set, turn: &mut Turn, f: impl Fn(f64, usize) -> f64) {
    match set {
        _ if turn.count < TURN => naive::steps(turn, f),
        Set::NAIVE => naive::steps(turn, f),
        _ => run(set, online::Steps { turn, f }),
    }
}

/// Replaces each a_i by f(a_i).
#[inline]
pub fn replace(set: Set, a: &mut [f64], f: impl Fn(f64) -> f64) {
    run(set, passes::Replace { a, f });
}

/// Replaces each a_i by g(a_i, b_i), and returns the sum of all f(a_i, b_i); both times s_(i / width), where `s` is not
/// empty. `b` may be longer than `a`.
#[inline]
pub fn pointwise(
    set: Set,
    a: &mut [f64],
    b: &[f64],
    s: &[f64],
    width: usize,
    f: impl Fn(f64, f64) -> f64,
    g: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut sum = 0.0;
    match set {
        Set::NAIVE => sum = naive::pointwise(a, b, s, width, f, g),
        _ => run(set, passes::Pointwise { a, b, s, width, f, g, sum: &mut sum }),
    }
    sum
}

/// Of rows with `outputs` raw predictions each, y being the number of one: replaces them by s (p - [k = y]), p_k being
/// exp(raw_k) over their sum, and returns the sum of s log(1 / p_y). `s` may be empty for all ones.
#[inline]
pub fn softmax(set: Set, raw: &mut [f64], y: &[f64], s: &[f64], outputs: usize) -> f64 {
    let mut sum = 0.0;
    match set {
        Set::NAIVE => sum = naive::softmax(raw, y, s, outputs),
        _ => run(set, softmax::Softmax { raw, y, s, outputs, sum: &mut sum }),
    }
    sum
}

/// A column of eight rows, in a line of the caches of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Eight(pub [f64; 8]);

/// Of a column, every eighth row by itself: sum_i s_i x_i, at least the largest |x_i|, and sum_i s_i x_i^2.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    pub sum: Eight,
    pub range: Eight,
    pub square: Eight,
}

/// Columns of x_ij - away_j by eight rows, of which there are `stride` each in `out`, zeros being what the last rows
/// lack.
pub fn centre<T: Element>(set: Set, lines: Lines<T>, away: &[f64], out: &mut [Eight], stride: usize) {
    match set {
        Set::NAIVE => naive::centre(lines, away, out, stride),
        _ => run(set, gram::Centre { lines, away, out, stride }),
    }
}

/// Adds what there is in columns by eight rows, each weighing s_i or all 1 if `s` is empty.
pub fn squares(set: Set, columns: &[Eight], s: &[Eight], sums: &mut [Sums]) {
    match set {
        Set::NAIVE => naive::squares(columns, s, sums),
        _ => run(set, gram::Squares { columns, s, sums }),
    }
}

/// products_jk += sum_i s_i x_ij x_ik for k > j, of p such columns. Meanwhile `soon` is asked for.
pub fn products(set: Set, columns: &[Eight], p: usize, s: &[Eight], products: &mut [f64], soon: Place) {
    match set {
        Set::NAIVE => naive::products(columns, p, s, products),
        _ => run(set, gram::Products { columns, p, s, products, soon }),
    }
}

/// out_i = x_i
pub fn widen<T: Element>(set: Set, x: &[T], out: &mut [f64]) {
    run(set, passes::Widen { x, out });
}

/// Whether no value is NaN or infinite.
pub fn finite<T: Element>(set: Set, values: &[T]) -> bool {
    let mut finite = false;
    match set {
        Set::NAIVE => finite = naive::finite(values),
        _ => run(set, passes::Finite { values, finite: &mut finite }),
    }
    finite
}

/// Euclidean length, where the squares overflow or vanish too; NaN if a value is.
pub fn norm(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let sum: f64 = values.clone().map(|value| value * value).sum();
    if sum.is_nan() || (1e-200..1e200).contains(&sum) {
        return sum.sqrt();
    }
    let largest = values.clone().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * values.map(|value| (value / largest).powi(2)).sum::<f64>().sqrt()
}

/// Asks for the memory of `x` before it is needed; of a long one for its first 16 KiB, after which the processor has
/// seen which way it goes.
#[inline(always)]
pub fn prefetch<T>(x: &[T]) {
    ask(x.as_ptr().cast(), size_of_val(x).min(16 << 10));
}

/// Bytes of a line of the caches.
const LINE: usize = 64;

/// Asks for the lines with so many bytes, into the second-level cache: into the first, fewer are on their way at once
/// (of random rows of 128 bytes one core gets three times as many so).
#[inline(always)]
#[allow(unsafe_code, reason = "there is no safe prefetch")]
fn ask(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes + from.addr() % LINE).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch is a hint: it reads nothing into the program and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast::<i8>().wrapping_add(offset)) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

/// Asks for them once more, from the second-level cache into the first.
#[inline(always)]
#[allow(unsafe_code, reason = "there is no safe prefetch")]
fn bring(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>().wrapping_add(offset)) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

/// Lines of memory that may be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    from: usize,
    bytes: usize,
}

impl Place {
    /// Where the values lie.
    pub fn of<T>(values: &[T]) -> Self {
        Place { from: values.as_ptr().addr(), bytes: size_of_val(values) }
    }

    /// All but some lines.
    fn after(self, lines: usize) -> Self {
        let over = (lines * LINE).min(self.bytes);
        Place { from: self.from + over, bytes: self.bytes - over }
    }

    /// Asks for a line, if there are as many.
    #[inline(always)]
    fn ask(self, line: usize) {
        if line * LINE < self.bytes {
            ask(std::ptr::without_provenance((self.from + line * LINE) / LINE * LINE), 1);
        }
    }
}

/// So many zeros, in memory that the system hands out where it is touched first; none if there is not as much.
#[allow(unsafe_code, reason = "a vector of zeros either aborts without memory or is touched at once")]
pub fn untouched(count: usize) -> Option<Vec<f64>> {
    let layout = std::alloc::Layout::array::<f64>(count).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout is not empty and that of `count` numbers, of which all bits 0 is 0.0; the vector gives the
    // memory back with the same layout.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout).cast::<f64>();
        (!start.is_null()).then(|| Vec::from_raw_parts(start, count, count))
    }
}

/// Asks the system to back this memory with huge pages, so that random visits find their way sooner.
#[allow(unsafe_code, reason = "there is no safe madvise")]
pub fn ask_for_huge_pages<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        const ADVICE: i32 = 14; // MADV_HUGEPAGE
        unsafe extern "C" {
            fn madvise(start: *mut std::ffi::c_void, length: usize, advice: i32) -> i32;
        }
        let (from, bytes) = (memory.as_mut_ptr().cast::<u8>(), size_of_val(memory));
        let skipped = from.align_offset(PAGE).min(bytes);
        // SAFETY: whole pages within `memory`; the advice changes no content, and a refusal is no harm.
        unsafe { madvise(from.wrapping_add(skipped).cast(), (bytes - skipped) / PAGE * PAGE, ADVICE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

#[cfg(test)]
mod tests {
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
            online(set, lines, line, &mut |turn| {
                let (first, square) = (turn.first, turn.square);
                let (y, rates) = (&y[first..], &rates[first..]);
                steps(set, turn, |raw, r| rates[r] * (raw - y[r]) / (1.0 + implicit * rates[r] * square[r]));
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
                        online(set, lines, line, &mut |turn| {
                            let y = &y[turn.first..];
                            steps(set, turn, |raw, r| if raw < y[r] { -1e-165 } else { 1e-165 });
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
                    let apart =
                        Lines::Apart { values: &values, stride: d + 2, at: &at[..rows], soon: &at[rows.min(2)..] };
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
                    let apart =
                        Lines::Apart { values: &values, stride: 2, at: &at[..count], soon: &at[count.min(8)..] };
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
                        let start = vec![Eight([3.0; 8]); rows.div_ceil(8) * (d + 2)];
                        let [mut found, mut expected] = [start.clone(), start.clone()];
                        centre(set, lines, &w[..d], &mut found, d + 2);
                        naive::centre(lines, &w[..d], &mut expected, d + 2);
                        assert_eq!(found, expected, "{what}");
                        let half: Vec<f32> = values.iter().map(|&x| x as f32).collect();
                        let wide: Vec<f64> = half.iter().map(|&x| x.into()).collect();
                        let [mut found, mut expected] = [start.clone(), start];
                        let half = Lines::Together { values: &half[..rows * d], stride: d, beyond: 0 };
                        centre(set, half, &w[..d], &mut found, d + 2);
                        let wide = Lines::Together { values: &wide[..rows * d], stride: d, beyond: 0 };
                        centre(set, wide, &w[..d], &mut expected, d + 2);
                        assert_eq!(found, expected, "{what}");
                        naive::centre(wide, &w[..d], &mut expected, d + 2);
                        assert_eq!(found, expected, "{what}");
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
                        let one = Sums { sum: Eight([0.5; 8]), range: Eight([0.1; 8]), square: Eight([0.2; 8]) };
                        let [mut found, mut expected] = [vec![one; d], vec![one; d]];
                        squares(set, &columns, &s, &mut found);
                        naive::squares(&columns, &s, &mut expected);
                        for (found, expected) in found.iter().zip(&expected) {
                            near(&found.sum.0, &expected.sum.0, &what);
                            near(&found.range.0, &expected.range.0, &what);
                            near(&found.square.0, &expected.square.0, &what);
                        }
                    }
                }
            }
        }
    }
}
