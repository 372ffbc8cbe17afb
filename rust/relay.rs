//! Relay: chunks that are made ready ahead of whoever takes them in order: by a second thread, and by the first while
//! it would wait. Who makes a chunk changes nothing in it. The thread lives as long as the pass.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::Error;
use crate::observe::LookUp;

/// Chunks that are ready or in the making ahead of the one in use, which is among them.
const AHEAD: usize = 4;

/// Room for chunks, kept from pass to pass.
pub struct Relay<C> {
    rooms: Vec<Mutex<C>>,
    threaded: bool,
}

impl<C: Default + Send> Relay<C> {
    /// With a second thread if `threaded`.
    pub fn new(threaded: bool) -> Self {
        let rooms = if threaded { AHEAD } else { 1 };
        Relay { rooms: (0..rooms).map(|_| Mutex::default()).collect(), threaded }
    }

    /// `make` readies each of `count` chunks in its room, in any order; `take` gets them one after the other, on this
    /// thread, and answers whether to go on. The second thread, if there is one, does `first` before it helps: that is
    /// told to end where nobody goes on.
    ///
    /// # Errors
    /// The first that `make` or `take` answers.
    pub fn pass(
        &self,
        count: usize,
        first: impl FnOnce(&mut LookUp) + Send,
        make: impl Fn(usize, &mut C) -> Result<(), Error> + Sync,
        mut take: impl FnMut(&mut C) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let room = |k: usize| held(&self.rooms[k % self.rooms.len()]);
        if !self.threaded || count < 2 {
            for k in 0..count {
                make(k, &mut room(k))?;
                if !take(&mut room(k))? {
                    break;
                }
            }
            return Ok(());
        }
        let board = Board { state: Mutex::new(State { count, ..State::default() }), changed: Condvar::new() };
        let make = |k| {
            let made = make(k, &mut room(k)); // and the room is free before anybody is told
            board.ready(k, made);
        };
        thread::scope(|scope| {
            let helper = || {
                let _leaves = Leaving(&board);
                first(&mut || if held(&board.state).over { Err(Error::Interrupted) } else { Ok(()) });
                while let Some(k) = board.next(None) {
                    make(k);
                }
            };
            let _leaves = Leaving(&board);
            // without a helper everything is made here
            let _helper = thread::Builder::new().spawn_scoped(scope, helper);
            for k in 0..count {
                while let Some(other) = board.next(Some(k)) {
                    make(other);
                }
                if let Some(error) = board.failed(k) {
                    board.end();
                    return Err(error);
                }
                match take(&mut room(k)) {
                    Ok(true) => board.taken(k),
                    ended => {
                        board.end();
                        return ended.map(|_| ());
                    }
                }
            }
            Ok(())
        })
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who has got how far.
#[derive(Default)]
struct State {
    count: usize,
    /// The first that nobody makes yet, and the first that is not taken yet.
    next: usize,
    taken: usize,
    /// In each room, the number of the chunk that is ready, from 1.
    ready: [usize; AHEAD],
    /// Nobody goes on.
    over: bool,
    /// The first chunk that could not be made, after which there is none, and why.
    error: Option<(usize, Error)>,
}

impl State {
    /// How many chunks there are.
    fn end(&self) -> usize {
        self.error.as_ref().map_or(self.count, |(k, _)| *k)
    }
}

struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    /// A chunk to be made, as long as the one that somebody `wants` is not ready; whoever wants none waits until there
    /// is another.
    fn next(&self, wants: Option<usize>) -> Option<usize> {
        let mut state = held(&self.state);
        loop {
            let State { next, taken, ready, over, .. } = *state;
            let end = state.end();
            let done = wants.map_or(next >= end, |k| k >= end || ready[k % AHEAD] == k + 1);
            if over || done {
                return None;
            }
            if next < end.min(taken + AHEAD) {
                state.next += 1;
                return Some(next);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn ready(&self, k: usize, made: Result<(), Error>) {
        let mut state = held(&self.state);
        match made {
            Ok(()) => state.ready[k % AHEAD] = k + 1,
            Err(error) if k < state.end() => state.error = Some((k, error)),
            Err(_) => {}
        }
        drop(state);
        self.changed.notify_all();
    }

    fn taken(&self, k: usize) {
        held(&self.state).taken = k + 1;
        self.changed.notify_all();
    }

    /// Says that nobody goes on.
    fn end(&self) {
        held(&self.state).over = true;
        self.changed.notify_all();
    }

    /// Why chunk k is not there, if so; a panic of the helper comes out of its scope.
    fn failed(&self, k: usize) -> Option<Error> {
        let mut state = held(&self.state);
        match state.error.take_if(|(at, _)| *at == k) {
            None => state.over.then_some(Error::Interrupted),
            Some((_, error)) => Some(error),
        }
    }
}

/// Sends everybody home: the helper when the pass is over, and whoever waits for it if it panics.
struct Leaving<'a>(&'a Board);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = held(&self.0.state);
        state.over |= state.next < state.end() || thread::panicking();
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    fn squares(threaded: bool, count: usize, until: usize) -> Result<Vec<usize>, Error> {
        let (relay, mut seen) = (Relay::<usize>::new(threaded), Vec::new());
        let make = |k: usize, room: &mut usize| {
            *room = k * k;
            if k == 7 { Err(Error::Interrupted) } else { Ok(()) }
        };
        relay.pass(
            count,
            |_| {},
            make,
            |&mut square| {
                seen.push(square);
                Ok(seen.len() < until)
            },
        )?;
        Ok(seen)
    }

    #[test]
    fn chunks_are_taken_in_order_whoever_makes_them() {
        for threaded in [false, true] {
            for count in 0..7 {
                assert_eq!(squares(threaded, count, 99), Ok((0..count).map(|k| k * k).collect()));
            }
            assert_eq!(squares(threaded, 7, 3), Ok(vec![0, 1, 4]));
            assert_eq!(squares(threaded, 9, 99), Err(Error::Interrupted));
            // what could not be made and is not asked for is no error
            assert_eq!(squares(threaded, 9, 7), Ok((0..7).map(|k| k * k).collect()));
        }
    }

    #[test]
    fn the_helper_does_something_first_and_ends_it_where_nobody_goes_on() {
        for (count, until) in [(3, 1), (50, 9), (50, 50)] {
            let (relay, done) = (Relay::<usize>::new(true), AtomicBool::new(false));
            let mut seen = 0;
            let first = |look_up: &mut LookUp| {
                // until it is told to end, or long enough for everybody to get on without it
                let patient = until == count;
                let ended = (0..if patient { 20 } else { 100_000 }).any(|_| {
                    thread::sleep(Duration::from_millis(1));
                    look_up().is_err()
                });
                done.store(ended != patient, Ordering::Relaxed);
            };
            let pass = relay.pass(
                count,
                first,
                |_, _| Ok(()),
                |_| {
                    seen += 1;
                    Ok(seen < until || until == count)
                },
            );
            assert_eq!((pass, seen, done.into_inner()), (Ok(()), until, true));
        }
        let relay = Relay::<usize>::new(true);
        let panics = |_: &mut LookUp| panic!("here");
        let pass = || relay.pass(9, panics, |_, _| Ok(()), |_| Ok(true));
        assert!(catch_unwind(AssertUnwindSafe(pass)).is_err());
    }

    #[test]
    fn nobody_waits_for_whom_an_error_or_a_panic_sent_home() {
        for panics_at in [0, 3, 50] {
            let (relay, panicked) = (Relay::<usize>::new(true), AtomicBool::new(false));
            let helper = |k: usize, _: &mut usize| {
                if k >= panics_at && thread::current().name().is_none() && !panicked.swap(true, Ordering::Relaxed) {
                    panic!("here");
                }
                thread::sleep(Duration::from_micros(20));
                Ok(())
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| relay.pass(99, |_| {}, helper, |_| Ok(true))));
            assert_eq!(outcome.is_err(), panicked.into_inner());
            let here = catch_unwind(AssertUnwindSafe(|| relay.pass(99, |_| {}, |_, _| Ok(()), |_| panic!("there"))));
            assert!(here.is_err());
            assert_eq!(relay.pass(99, |_| {}, |_, _| Ok(()), |_| Err(Error::Interrupted)), Err(Error::Interrupted));
        }
    }
}
