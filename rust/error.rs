//! Error: what can be wrong with a request. A run that does not converge is a `Status`, never an error.

use std::fmt;

/// Why a request was refused or a run was ended from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// An argument is wrong: its name, what was given, what is accepted.
    Argument { name: String, given: String, accepted: String },
    /// Memory for a record could not be had.
    Memory { what: &'static str, bytes: usize },
    /// The observer asked to end the run and keeps the reason (an exception, a signal).
    Interrupted,
}

impl Error {
    /// The argument `name` is wrong.
    pub fn argument(name: impl Into<String>, given: impl fmt::Display, accepted: impl Into<String>) -> Self {
        Error::Argument { name: name.into(), given: given.to_string(), accepted: accepted.into() }
    }
}

/// So many zeros, if there is memory for them.
///
/// # Errors
/// `Error::Memory` if there is none.
pub fn zeros(count: usize, what: &'static str) -> Result<Vec<f64>, Error> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| Error::Memory { what, bytes: count.saturating_mul(8) })?;
    values.resize(count, 0.0);
    Ok(values)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Argument { name, given, accepted } => write!(f, "{name} must be {accepted}, got {given}"),
            Error::Memory { what, bytes } => {
                write!(f, "no memory for {what} ({bytes} bytes)")
            }
            Error::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {}
