//! Threads: a pass over many rows in fixed parts, put together in one order, so that no number of threads changes a
//! bit. They live as long as the pass: nothing waits, spins, or is there when the process forks.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::error::Error;
use crate::observe::{LookUp, Observe, Reached, State, Watch};

/// Rows of a part at least, and how many parts there are at most.
const LEAST: usize = 1024;
const MOST: usize = 64;
/// Multiplications that are worth a second thread.
const WORTH: usize = 1 << 21;

/// `n` rows in parts of at least `least` each; how many there are depends on nothing else.
pub fn parts(n: usize, least: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let size = LEAST.max(least).max(n.div_ceil(MOST));
    (0..n).step_by(size).map(move |from| from..(from + size).min(n))
}

/// Whether `parts` is all in one.
#[inline]
pub fn are_one(n: usize, least: usize) -> bool {
    n <= LEAST.max(least)
}

/// What `work` answers for each of `parts`, in their order, by at most `threads` threads; `each` is the number of
/// multiplications that a row takes.
///
/// # Errors
/// The first that `work` answers, or what the observer behind `watch` does.
pub fn each_part<T: Send>(
    parts: impl Iterator<Item = Range<usize>>,
    each: usize,
    threads: usize,
    watch: &mut Watch,
    work: impl Fn(Range<usize>, &mut Watch) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let parts: Vec<Range<usize>> = parts.collect();
    let n = parts.last().map_or(0, |part| part.end);
    let threads = threads.min(parts.len()).min(n.saturating_mul(each) / WORTH).max(1);
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let take = |watch: &mut Watch| -> Result<Vec<(usize, T)>, Error> {
        let mut done = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(i) else { break };
            done.push((i, work(part.clone(), watch).inspect_err(|_| over.store(true, Ordering::Relaxed))?));
        }
        Ok(done)
    };
    let mut done = if threads == 1 {
        take(watch)?
    } else {
        thread::scope(|scope| {
            let helper = || take(&mut Watch::new(&mut Follower(&over)));
            let helpers: Vec<_> =
                (1..threads).map_while(|_| thread::Builder::new().spawn_scoped(scope, helper).ok()).collect();
            let mut mine = take(watch);
            for helper in helpers {
                let theirs = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                mine = mine.and_then(|mut mine| {
                    mine.extend(theirs?);
                    Ok(mine)
                });
            }
            mine
        })?
    };
    done.sort_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, answer)| answer).collect())
}

/// What `work` answers. Meanwhile another thread does `other`, if that is `wanted`: it is told to end when the work has
/// failed, and otherwise waited for.
///
/// # Errors
/// What `work` answers.
pub fn beside<T>(
    wanted: bool,
    other: impl FnOnce(&mut LookUp) + Send,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    if !wanted {
        return work();
    }
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut look_up = || if failed.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) };
        let _helper = thread::Builder::new().spawn_scoped(scope, move || other(&mut look_up));
        work().inspect_err(|_| failed.store(true, Ordering::Relaxed))
    })
}

/// The onlooker of a helping thread: it leaves when somebody else has to.
struct Follower<'a>(&'a AtomicBool);

impl Observe for Follower<'_> {
    fn look_up(&mut self, _reached: Reached) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn epoch(&mut self, _state: &State) -> Result<bool, Error> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Alone;

    #[test]
    fn what_is_done_beside_ends_where_the_work_has_failed() {
        for (work, told) in [(Ok(3), false), (Err(Error::Interrupted), true)] {
            let ended = AtomicBool::new(false);
            let other = |look_up: &mut LookUp| {
                let wait = |_| {
                    thread::sleep(std::time::Duration::from_millis(1));
                    look_up().is_err()
                };
                ended.store((0..if told { 100_000 } else { 20 }).any(wait), Ordering::Relaxed);
            };
            assert_eq!(beside(true, other, || work.clone()), work);
            assert_eq!(ended.into_inner(), told);
            assert_eq!(beside(false, |_| panic!("nobody wants it"), || work.clone()), work);
        }
    }

    #[test]
    fn parts_cover_every_row_once() {
        assert_eq!(parts(10_000, 6000).collect::<Vec<_>>(), [0..6000, 6000..10_000]);
        for n in [1, LEAST, LEAST + 1, 1_000_003] {
            let parts: Vec<_> = parts(n, 1).collect();
            assert_eq!(are_one(n, 1), parts.len() == 1);
            assert!(parts.len() <= MOST && parts[0].start == 0 && parts[parts.len() - 1].end == n);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn any_number_of_threads_answers_alike_and_an_error_ends_all() {
        let (mut alone, n) = (Alone, 100_000);
        let mut watch = Watch::new(&mut alone);
        for threads in [1, 2, 5, 100] {
            let sums = each_part(parts(n, 1), 1000, threads, &mut watch, |part, _| Ok(part.sum::<usize>())).unwrap();
            assert_eq!(sums, parts(n, 1).map(|part| part.sum::<usize>()).collect::<Vec<_>>());
            let failed = each_part(parts(n, 1), 1000, threads, &mut watch, |part, _| match part.start {
                0 => Ok(()),
                _ => Err(Error::Interrupted),
            });
            assert_eq!(failed, Err(Error::Interrupted));
        }
    }
}
