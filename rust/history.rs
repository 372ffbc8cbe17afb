//! History: one record an entry, kept in columns.

use crate::error::Error;
use crate::observe::State;

/// When a record is made; the start and the end always are, unless `Nothing` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    Nothing,
    Epochs,
    /// Every so many updates.
    Steps(u64),
}

impl Record {
    /// Whether update `step` is to be recorded by itself.
    pub fn wants_step(self, step: u64) -> bool {
        matches!(self, Record::Steps(every) if step.is_multiple_of(every))
    }
}

/// The records of a run. `coef` is (records, outputs d), `intercept` (records, outputs), all others (records).
#[derive(Debug, Default, Clone)]
pub struct History {
    pub epoch: Vec<i64>,
    pub step: Vec<i64>,
    pub loss: Vec<f64>,
    pub coef: Vec<f64>,
    pub intercept: Vec<f64>,
    pub rate: Vec<f64>,
    pub grad_norm: Vec<f64>,
    pub seconds: Vec<f64>,
    /// Empty without validation rows.
    pub val_loss: Vec<f64>,
    /// Records that there is room for in every column, and how many there will be.
    room: usize,
    expected: usize,
}

/// Coefficients that room is made for at once, before it is known whether they come.
const AT_ONCE: usize = 1 << 16;

impl History {
    /// No record yet, of so many.
    pub fn expecting(records: usize) -> Self {
        History { expected: records, ..History::default() }
    }

    /// Appends a state; with `outputs` intercepts even where the model has none (they are 0).
    ///
    /// # Errors
    /// If memory runs out; nothing is appended then.
    #[inline]
    pub fn push(&mut self, state: &State, val_loss: Option<f64>, seconds: f64, outputs: usize) -> Result<(), Error> {
        if self.len() == self.room {
            self.make_room(state.coef.len(), outputs)?;
        }
        self.epoch.push(state.epoch as i64);
        self.step.push(state.step as i64);
        self.loss.push(state.loss);
        self.coef.extend_from_slice(state.coef);
        self.intercept.extend_from_slice(state.intercept);
        if state.intercept.is_empty() {
            self.intercept.resize(self.intercept.len() + outputs, 0.0);
        }
        self.rate.push(state.rate);
        self.grad_norm.push(state.grad_norm);
        self.seconds.push(seconds);
        self.val_loss.extend(val_loss);
        Ok(())
    }

    /// Makes room for all records that are expected, if they are few, then for twice as many as there are.
    #[cold]
    fn make_room(&mut self, coefs: usize, outputs: usize) -> Result<(), Error> {
        let more = self.expected.saturating_sub(self.len()).min(AT_ONCE / coefs.max(1)).max(self.len()).max(1);
        let bytes = 8 * (self.coef.len() + more * coefs);
        let memory = |_| Error::Memory { what: "the history, of which record=None keeps nothing", bytes };
        self.coef.try_reserve_exact(more * coefs).map_err(memory)?;
        self.intercept.try_reserve_exact(more * outputs).map_err(memory)?;
        for column in [&mut self.loss, &mut self.rate, &mut self.grad_norm, &mut self.seconds, &mut self.val_loss] {
            column.try_reserve_exact(more).map_err(memory)?;
        }
        for column in [&mut self.epoch, &mut self.step] {
            column.try_reserve_exact(more).map_err(memory)?;
        }
        self.room += more;
        Ok(())
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.step.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.step.is_empty()
    }

    /// Drops every second record; the first stays.
    pub fn thin(&mut self, coefs: usize, outputs: usize) {
        fn every_second<T: Copy>(column: &mut Vec<T>, width: usize) {
            let kept: Vec<T> = column.chunks_exact(width).step_by(2).flatten().copied().collect();
            *column = kept;
        }
        every_second(&mut self.epoch, 1);
        every_second(&mut self.step, 1);
        every_second(&mut self.coef, coefs);
        every_second(&mut self.intercept, outputs);
        for column in [&mut self.loss, &mut self.rate, &mut self.grad_norm, &mut self.seconds, &mut self.val_loss] {
            every_second(column, 1);
        }
        self.room = self.len();
    }

    /// The update after which the last record was made.
    pub fn last_step(&self) -> Option<u64> {
        self.step.last().map(|&step| step as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_drops_every_second_record_of_every_column() {
        let mut history = History::default();
        for k in 0..5 {
            let (coef, intercept) = ([k as f64, -(k as f64)], [10.0 * k as f64]);
            let state =
                State { epoch: k, step: k, loss: 0.5, coef: &coef, intercept: &intercept, rate: 0.1, grad_norm: 1.0 };
            history.push(&state, None, 0.0, 1).unwrap();
        }
        history.thin(2, 1);
        assert_eq!(history.epoch, [0, 2, 4]);
        assert_eq!(history.coef, [0.0, 0.0, 2.0, -2.0, 4.0, -4.0]);
        assert_eq!(
            (history.intercept.as_slice(), history.len(), history.val_loss.len()),
            (&[0.0, 20.0, 40.0][..], 3, 0)
        );
    }
}
