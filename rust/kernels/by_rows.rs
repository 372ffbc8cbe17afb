//! By rows: steps by single rows that are too long to take turns, one after the other. A row's step is taken while the
//! next row is multiplied with what it leaves.

use super::lanes::{LANES, Lanes};
use super::walk::{Walk, left, load, load_part};
use super::{Eight, Element, Lines, Online, Step, Work, ask};

/// Lanes that are worked on together, each with a sum of its own.
const CHAINS: usize = 4;

pub(super) struct ByRows<'a, 'f, T> {
    pub lines: Lines<'a, T>,
    pub line: Online<'a>,
    pub near: &'a mut [Eight],
    pub step: Step<'a, 'f>,
}

impl<T: Element> Work for ByRows<'_, '_, T> {
    /// Each row sees what all before it have done.
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let ByRows { lines, line: Online { w, b, squares, scales, tail }, near, step } = self;
        let walk = Walk::new(lines, w.len());
        // in lines of the caches of their own, as what is stored across two is waited for
        near.iter_mut().for_each(|near| *near = Eight::default());
        near.iter_mut().zip(w.chunks(LANES)).for_each(|(near, w)| near.0[..w.len()].copy_from_slice(w));
        let mut last = None;
        for i in 0..walk.count {
            let (x, scale, after) = (walk.row(i), scales.get(i).unwrap_or(&1.0), scales.get(i + 1).unwrap_or(&1.0));
            let product = match last {
                None => next::<V, T, false>(near, x, (x, 0.0), walk.soon(i)),
                Some(last) => next::<V, T, true>(near, x, last, walk.soon(i)),
            };
            let square = if squares { square::<V, T>(x) + b.len() as f64 } else { 0.0 };
            let step = step(i, scale * product + b.iter().sum::<f64>(), square);
            b.iter_mut().for_each(|b| *b -= step);
            last = Some((x, -step / after));
            if !tail.is_empty() {
                last.take().into_iter().for_each(|last| take::<V, T>(near, last));
                let theta = near.iter().flat_map(|near| near.0).take(w.len()).chain(b.iter().copied());
                tail.iter_mut().zip(theta).for_each(|(tail, theta)| *tail += theta);
            }
        }
        last.into_iter().for_each(|last| take::<V, T>(near, last));
        w.chunks_mut(LANES).zip(&*near).for_each(|(w, near)| w.copy_from_slice(&near.0[..w.len()]));
    }
}

/// x . w, w being what lies near, moved along the `last` row before if it has MOVED; asks for as many numbers from
/// `soon` on.
#[inline(always)]
fn next<V: Lanes, T: Element, const MOVED: bool>(
    near: &mut [Eight],
    x: &[T],
    (last, back): (&[T], f64),
    soon: Option<*const T>,
) -> f64 {
    let ((x, x_rest), (last, last_rest)) = (x.as_chunks::<LANES>(), last.as_chunks::<LANES>());
    let (near, near_rest) = near.split_at_mut(x.len());
    let (mut sums, back, mut soon) = ([V::zero(); CHAINS], V::splat(back), soon);
    let (whole, over) = (x.len() / CHAINS * CHAINS, x.len() % CHAINS);
    for c in (0..whole).step_by(CHAINS) {
        let (near, x, last) = (&mut near[c..], &x[c..], &last[c..]);
        soon = lanes::<V, T, CHAINS, MOVED>(near, x, (last, back), soon, &mut sums);
    }
    let (near, x, last) = (&mut near[whole..], &x[whole..], &last[whole..]);
    soon = match over {
        1 => lanes::<V, T, 1, MOVED>(near, x, (last, back), soon, &mut sums),
        2 => lanes::<V, T, 2, MOVED>(near, x, (last, back), soon, &mut sums),
        3 => lanes::<V, T, 3, MOVED>(near, x, (last, back), soon, &mut sums),
        _ => soon,
    };
    for near in near_rest {
        let mut w = V::load(&near.0);
        if MOVED {
            w = w.add_product(back, load_part(last_rest));
            w.store(&mut near.0);
        }
        sums[CHAINS - 1] = sums[CHAINS - 1].add_product(w, load_part(x_rest));
        soon.into_iter().for_each(|soon| ask(soon.wrapping_add(x_rest.len() - 1).cast(), 1));
    }
    sums[0].add(sums[1]).add(sums[2].add(sums[3])).total()
}

/// The same of C lanes, into as many sums; answers from where on the next are asked for.
#[inline(always)]
fn lanes<V: Lanes, T: Element, const C: usize, const MOVED: bool>(
    near: &mut [Eight],
    x: &[[T; LANES]],
    (last, back): (&[[T; LANES]], V),
    soon: Option<*const T>,
    sums: &mut [V; CHAINS],
) -> Option<*const T> {
    let (near, x, last) = (&mut near[..C], &x[..C], &last[..C]);
    if let Some(soon) = soon {
        for c in (0..C).step_by(8 / size_of::<T>()) {
            ask(soon.wrapping_add(c * LANES).cast(), 1);
        }
    }
    for c in 0..C {
        let mut w = V::load(&near[c].0);
        if MOVED {
            w = w.add_product(back, load(&last[c]));
            w.store(&mut near[c].0);
        }
        sums[c] = sums[c].add_product(w, load(&x[c]));
    }
    soon.map(|soon| soon.wrapping_add(C * LANES))
}

/// w += back x
#[inline(always)]
fn take<V: Lanes, T: Element>(near: &mut [Eight], (x, back): (&[T], f64)) {
    let ((x, rest), back) = (x.as_chunks::<LANES>(), V::splat(back));
    let (near, near_rest) = near.split_at_mut(x.len());
    for (near, x) in near.iter_mut().zip(x) {
        V::load(&near.0).add_product(back, load(x)).store(&mut near.0);
    }
    for near in near_rest {
        V::load(&near.0).add_product(back, load_part(rest)).store(&mut near.0);
    }
}

/// |x|^2
#[inline(always)]
fn square<V: Lanes, T: Element>(x: &[T]) -> f64 {
    let (mut sums, (whole, rest)) = ([V::zero(); 2], x.as_chunks::<LANES>());
    for (c, x) in whole.iter().enumerate() {
        let x = load::<V, T>(x);
        sums[c % 2] = sums[c % 2].add_product(x, x);
    }
    if !rest.is_empty() {
        let x = left::<V, T>(x, whole.len());
        sums[0] = sums[0].add_product(x, x);
    }
    sums[0].add(sums[1]).total()
}
