//! Observe: who looks on while a run is under way, and may end it.

use std::time::{Duration, Instant};

use crate::error::Error;

/// What an observer is shown after an epoch.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    pub epoch: u64,
    pub step: u64,
    pub loss: f64,
    /// (outputs, d)
    pub coef: &'a [f64],
    /// (outputs), or empty without an intercept
    pub intercept: &'a [f64],
    pub rate: f64,
    pub grad_norm: f64,
}

/// How far a run is: epochs done, and the loss that the latest one ended with (NaN before the first).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    pub epoch: u64,
    pub loss: f64,
}

/// Called while something takes long; an error ends it.
pub type LookUp<'a> = dyn FnMut() -> Result<(), Error> + 'a;

/// The world outside a run.
pub trait Observe {
    /// Every 50 ms, within passes too; an error ends the run.
    ///
    /// # Errors
    /// `Error::Interrupted` when the user wants out.
    fn look_up(&mut self, reached: Reached) -> Result<(), Error>;

    /// Once after every epoch; `true` stops the run.
    ///
    /// # Errors
    /// `Error::Interrupted` when the observer itself failed.
    fn epoch(&mut self, state: &State) -> Result<bool, Error>;

    /// Whether there is anybody to be shown epochs.
    fn looks(&self) -> bool {
        true
    }
}

/// Nobody looks.
pub struct Alone;

impl Observe for Alone {
    fn look_up(&mut self, _reached: Reached) -> Result<(), Error> {
        Ok(())
    }

    fn epoch(&mut self, _state: &State) -> Result<bool, Error> {
        Ok(false)
    }

    fn looks(&self) -> bool {
        false
    }
}

/// Work, in multiplications, between two looks at the clock: well under a millisecond.
const WORK: usize = 1 << 18;
const INTERVAL: Duration = Duration::from_millis(50);
/// Work that takes a microsecond or two, and how often the time is asked for meanwhile before it is looked up again: that
/// takes as long as a third of a step over few rows.
const MOMENT: usize = 1 << 13;
const OFTEN: u32 = 32;

/// Counts work, now and then looks at the clock, and every 50 ms lets the observer look up.
pub struct Watch<'a> {
    observe: &'a mut dyn Observe,
    shown: bool,
    reached: Reached,
    work: usize,
    began: Instant,
    looked: Instant,
    interval: Duration,
    /// The time, the work when it was looked up, and how often it may still be told.
    seconds: f64,
    then: usize,
    left: u32,
}

impl<'a> Watch<'a> {
    /// Starts the clock.
    pub fn new(observe: &'a mut dyn Observe) -> Self {
        let now = Instant::now();
        let reached = Reached { epoch: 0, loss: f64::NAN };
        let (shown, work, began, looked, interval) = (observe.looks(), 0, now, now, INTERVAL);
        Watch { observe, shown, reached, work, began, looked, interval, seconds: 0.0, then: 0, left: 0 }
    }

    /// Says that `work` more multiplications are done.
    ///
    /// # Errors
    /// What the observer answers.
    #[inline]
    pub fn tick(&mut self, work: usize) -> Result<(), Error> {
        self.work += work;
        if self.work < WORK { Ok(()) } else { self.look() }
    }

    #[cold]
    fn look(&mut self) -> Result<(), Error> {
        (self.work, self.left) = (0, 0);
        if self.looked.elapsed() < self.interval {
            return Ok(());
        }
        self.looked = Instant::now();
        self.observe.look_up(self.reached)
    }

    /// Says that an epoch is over, and shows it to whoever looks; whether the run is to stop.
    ///
    /// # Errors
    /// What the observer answers.
    #[inline]
    pub fn epoch(&mut self, state: &State) -> Result<bool, Error> {
        self.reached = Reached { epoch: state.epoch, loss: state.loss };
        if !self.shown {
            return Ok(false);
        }
        self.left = 0; // others take their time
        self.observe.epoch(state)
    }

    /// Seconds since the start, some microseconds ago.
    #[inline]
    pub fn seconds(&mut self) -> f64 {
        if self.left == 0 || self.work.wrapping_sub(self.then) >= MOMENT {
            (self.seconds, self.then, self.left) = (self.began.elapsed().as_secs_f64(), self.work, OFTEN);
        }
        self.left -= 1;
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends the run at the first look up, and remembers how far it was.
    #[derive(Default)]
    struct Impatient(Option<Reached>);

    impl Observe for Impatient {
        fn look_up(&mut self, reached: Reached) -> Result<(), Error> {
            self.0 = Some(reached);
            Err(Error::Interrupted)
        }

        fn epoch(&mut self, _state: &State) -> Result<bool, Error> {
            Ok(true)
        }
    }

    #[test]
    fn looks_up_only_when_the_interval_is_over() {
        let mut observe = Impatient::default();
        let mut watch = Watch::new(&mut observe);
        watch.interval = Duration::from_secs(3600);
        assert_eq!((watch.tick(1), watch.tick(WORK)), (Ok(()), Ok(())));
        watch.interval = Duration::ZERO;
        assert_eq!((watch.tick(1), watch.tick(WORK)), (Ok(()), Err(Error::Interrupted)));
        assert!(observe.0.is_some_and(|reached| reached.epoch == 0 && reached.loss.is_nan()));
    }

    #[test]
    fn the_time_is_looked_up_after_some_work_and_after_everything_that_takes_time() {
        let mut alone = Alone;
        let mut watch = Watch::new(&mut alone);
        let began = watch.seconds();
        assert!((1..OFTEN).all(|_| watch.seconds() == began) && watch.seconds() > began);
        let state = State { epoch: 3, step: 12, loss: 0.5, coef: &[1.0], intercept: &[], rate: 0.1, grad_norm: 1.0 };
        let then = watch.seconds();
        assert_eq!((watch.epoch(&state), watch.seconds()), (Ok(false), then));
        for work in [MOMENT, WORK, WORK] {
            let then = watch.seconds();
            watch.tick(work).unwrap();
            assert!(watch.seconds() > then);
        }
        let mut observe = Impatient::default();
        let mut watch = Watch::new(&mut observe);
        let then = watch.seconds();
        watch.epoch(&state).unwrap();
        assert!(watch.seconds() > then);
    }

    #[test]
    fn a_look_up_is_told_how_far_the_run_is() {
        let mut observe = Impatient::default();
        let mut watch = Watch::new(&mut observe);
        watch.interval = Duration::ZERO;
        let state = State { epoch: 3, step: 12, loss: 0.5, coef: &[1.0], intercept: &[], rate: 0.1, grad_norm: 1.0 };
        assert_eq!((watch.epoch(&state), watch.tick(WORK)), (Ok(true), Err(Error::Interrupted)));
        assert_eq!(observe.0, Some(Reached { epoch: 3, loss: 0.5 }));
    }
}
