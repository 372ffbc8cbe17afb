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
}

impl History {
    /// Appends a state; with `outputs` intercepts even where the model has none (they are 0).
    ///
    /// # Errors
    /// If memory runs out; nothing is appended then.
    pub fn push(&mut self, state: &State, val_loss: Option<f64>, seconds: f64, outputs: usize) -> Result<(), Error> {
        let bytes = 8 * (self.coef.len() + state.coef.len());
        let memory = |_| Error::Memory { what: "the history, of which record=None keeps nothing", bytes };
        self.coef.try_reserve(state.coef.len()).map_err(memory)?;
        self.intercept.try_reserve(outputs).map_err(memory)?;
        for column in [&mut self.loss, &mut self.rate, &mut self.grad_norm, &mut self.seconds, &mut self.val_loss] {
            column.try_reserve(1).map_err(memory)?;
        }
        for column in [&mut self.epoch, &mut self.step] {
            column.try_reserve(1).map_err(memory)?;
        }
        self.epoch.push(state.epoch as i64);
        self.step.push(state.step as i64);
        self.loss.push(state.loss);
        self.coef.extend_from_slice(state.coef);
        let absent = outputs - state.intercept.len();
        self.intercept.extend(state.intercept.iter().copied().chain(std::iter::repeat_n(0.0, absent)));
        self.rate.push(state.rate);
        self.grad_norm.push(state.grad_norm);
        self.seconds.push(seconds);
        self.val_loss.extend(val_loss);
        Ok(())
    }

    /// The update after which the last record was made.
    pub fn last_step(&self) -> Option<u64> {
        self.step.last().map(|&step| step as u64)
    }
}
