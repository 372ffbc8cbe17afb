//! Kernels: the passes over rows that everything else is made of, compiled for every instruction set and chosen when
//! the program runs. Rows may be stored as f32, sums are f64. The only room that knows of instruction sets. Each has
//! its twin of the same name in `naive`, which says what it does.

mod by_rows;
mod columns;
mod gradient;
mod gram;
mod lanes;
pub mod naive;
mod online;
mod passes;
mod softmax;
mod turns;
mod walk;

use std::sync::OnceLock;

use self::lanes::Lanes;
pub use self::turns::{Bond, Bound, Moves, Pieces, Queue, Series, TURN, Turn};
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

/// Rows where they lie, however long their numbers are stored.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    Wide(Lines<'a>),
    Short(Lines<'a, f32>),
}

impl<T> Lines<'_, T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Lines::Together { values, stride, .. } => values.len() / stride,
            Lines::Apart { at, .. } => at.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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

/// Of rows of one number, with raw_i = w x_i + b: the sums of the slopes s_i g(raw_i, y_i) times x_i, of the slopes, and
/// of s_i f(raw_i, y_i). `s` may be empty for all ones.
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

/// What is told row i's prediction, and |x_i|^2, if asked for, and 1 more with an intercept: it returns the step.
pub type Step<'a, 'f> = &'a mut (dyn FnMut(usize, f64, f64) -> f64 + 'f);

/// For each row, w -= step x_i and b -= step, where `step` says which. `near` is room for w: see `room_for`.
#[inline]
pub fn online<T: Element>(set: Set, lines: Lines<T>, line: Online, near: &mut [Eight], step: Step) {
    match set {
        Set::NAIVE => naive::online(lines, line, step),
        _ => run(set, by_rows::ByRows { lines, line, near, step }),
    }
}

/// Makes room for so many numbers by eights, and answers it.
///
/// # Errors
/// If there is no memory for it.
pub fn room_for(numbers: usize, room: &mut Vec<Eight>) -> Result<&mut [Eight], Error> {
    let count = numbers.div_ceil(lanes::LANES);
    let bytes = size_of::<Eight>() * count;
    let more = count.saturating_sub(room.len());
    room.try_reserve_exact(more).map_err(|_| Error::Memory { what: "the coefficients", bytes })?;
    room.resize(room.len().max(count), Eight::default());
    Ok(&mut room[..count])
}

/// The same by rows in turn, of which `steps` sees a few at once.
#[inline]
pub fn in_turns(set: Set, rows: Queue, line: Online, steps: &mut dyn FnMut(&mut Turn)) {
    run(set, online::InTurns { rows, line, steps });
}

/// The steps of a turn, f(raw, r) being that of row r; where f takes long, there may be a series that is right near by,
/// and () else.
#[inline]
pub fn steps<const K: usize>(set: Set, turn: &mut Turn, series: impl Series<K>, f: impl Fn(f64, usize) -> f64) {
    match set {
        _ if turn.count < TURN => naive::steps(turn, f),
        Set::NAIVE => naive::steps(turn, f),
        _ => run(set, online::Steps { turn, series, f }),
    }
}

/// The same where f goes straight from kink to kink, and rows of a turn mostly stay between two; level unless `BENT`.
#[inline]
pub fn straight<const BENT: bool>(set: Set, turn: &mut Turn, pieces: impl Pieces, f: impl Fn(f64, usize) -> f64) {
    match set {
        _ if turn.count < TURN => naive::steps(turn, f),
        Set::NAIVE => naive::steps(turn, f),
        _ => run(set, online::Straight::<BENT, _, _> { turn, pieces, f }),
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

/// The same of up to `TURN` rows that step in turn: `raw` is what they find before the first of them, and becomes their
/// steps.
#[inline]
pub fn softmax_in_turn(set: Set, raw: &mut [f64], y: &[f64], s: &[f64], outputs: usize, moves: &Moves) -> f64 {
    let mut sum = 0.0;
    match set {
        Set::NAIVE => sum = naive::softmax_in_turn(raw, y, s, outputs, moves),
        _ => run(set, softmax::InTurn { raw, y, s, outputs, moves, sum: &mut sum }),
    }
    sum
}

/// A column of eight rows, in a line of the caches of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Eight(pub [f64; 8]);

/// Of a column: sum_i s_i x_i, sum_i s_i x_i^2, and whether any x_i is not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sums {
    pub sum: f64,
    pub square: f64,
    pub any: bool,
}

/// Where columns by eight rows go, of which there are `stride` each in `out`, and what they add to.
pub struct Summed<'a> {
    pub out: &'a mut [Eight],
    pub stride: usize,
    pub sums: &'a mut [Sums],
}

/// Rows in batches of `size`, the last of which may be short; each batch by itself in columns of eight rows.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    pub eights: &'a [Eight],
    pub size: usize,
    pub count: usize,
}

impl Columns<'_> {
    /// Whether rows of d numbers are worth it.
    pub fn takes(d: usize) -> bool {
        d <= columns::MOST
    }
}

/// Turns rows of d numbers into columns by eight rows, each batch of `size` by itself; zeros are what its last rows lack.
pub fn by_eights<T: Element>(set: Set, lines: Lines<T>, d: usize, size: usize, out: &mut [Eight]) {
    match set {
        Set::NAIVE => naive::by_eights(lines, d, size, out),
        _ => run(set, columns::ByEights { lines, d, size, out }),
    }
}

/// Steps by batches: a line w . x + b that each of them moves.
pub struct Downhill<'a> {
    pub w: &'a mut [f64],
    /// Empty, or one.
    pub b: &'a mut [f64],
    /// Of each batch; none to stay where it is.
    pub rates: &'a [f64],
    /// What makes the sum over a batch its gradient.
    pub factor: f64,
    /// To be set to the last batch's sums of slopes times x, and, if it is as long, of slopes.
    pub grad: &'a mut [f64],
    /// The sum of all w and b after each step, or empty.
    pub tail: &'a mut [f64],
}

/// Batch by batch, with the slopes s_i g(raw_i, y_i) at raw_i = w . x_i + b: w -= rate factor sum_i slope_i x_i, and b
/// likewise. Adds the losses s_i f(raw_i, y_i) of each batch to `sum`. `s` may be empty for all ones.
#[inline]
pub fn downhill(
    set: Set,
    rows: Columns,
    line: Downhill,
    (y, s): (&[f64], &[f64]),
    f: impl Fn(f64, f64) -> f64,
    g: impl Fn(f64, f64) -> f64,
    sum: &mut f64,
) {
    match set {
        Set::NAIVE => naive::downhill(rows, line, (y, s), f, g, sum),
        _ => run(set, columns::Descent { rows, line, y, s, f, g, sum }),
    }
}

/// Summed of x_ij - away_j, zeros being what the last eight rows lack; each row weighs s_i, or all 1 if `s` is empty.
pub fn centre<T: Element>(set: Set, lines: Lines<T>, away: &[f64], s: &[Eight], columns: Summed) {
    match set {
        Set::NAIVE => naive::centre(lines, away, s, columns),
        _ => run(set, gram::Centre { lines, away, s, columns }),
    }
}

/// products_jk += sum_i s_i x_ij x_ik for k > j, of p such columns. Meanwhile `soon` is asked for.
pub fn products(set: Set, columns: &[Eight], p: usize, s: &[Eight], products: &mut [f64], soon: Place) {
    match set {
        Set::NAIVE => naive::products(columns, p, s, products),
        _ => run(set, gram::Products { columns, p, s, products, soon, room: &mut Default::default() }),
    }
}

/// Puts the numbers `at` behind those of `out`; `soon` are asked for meanwhile.
pub fn append(numbers: &[f64], at: &[u32], soon: &[u32], out: &mut Vec<f64>) {
    let (early, late) = at.split_at(at.len().min(soon.len()));
    out.extend(early.iter().zip(soon).map(|(&i, &soon)| {
        prefetch_line(&numbers[soon as usize]);
        numbers[i as usize]
    }));
    out.extend(late.iter().map(|&i| numbers[i as usize]));
}

/// Puts each row at the beginning of `stride` numbers of `out`.
pub fn gather<T: Element>(set: Set, lines: Lines<T>, d: usize, stride: usize, out: &mut [f64]) {
    match set {
        Set::NAIVE => naive::gather(lines, d, stride, out),
        _ => run(set, passes::Gather { lines, d, stride, out }),
    }
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
#[inline(always)]
pub fn norm(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let sum: f64 = values.clone().map(|value| value * value).sum();
    if sum.is_nan() || (1e-200..1e200).contains(&sum) { sum.sqrt() } else { scaled_norm(values) }
}

/// The same by numbers of at most 1.
#[cold]
fn scaled_norm(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest * values.map(|value| (value / largest).powi(2)).sum::<f64>().sqrt()
}

/// Asks for the line where `x` begins before it is needed.
#[inline(always)]
pub fn prefetch_line<T>(x: &T) {
    ask(std::ptr::from_ref(x).cast(), 1);
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
        const HUGE: usize = 1 << 21;
        const ADVICE: i32 = 14; // MADV_HUGEPAGE
        unsafe extern "C" {
            fn madvise(start: *mut std::ffi::c_void, length: usize, advice: i32) -> i32;
        }
        let (from, bytes) = (memory.as_mut_ptr().cast::<u8>(), size_of_val(memory));
        if bytes < HUGE {
            return;
        }
        let skipped = from.align_offset(PAGE).min(bytes);
        // SAFETY: whole pages within `memory`; the advice changes no content, and a refusal is no harm.
        unsafe { madvise(from.wrapping_add(skipped).cast(), (bytes - skipped) / PAGE * PAGE, ADVICE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}

#[cfg(test)]
mod tests;
