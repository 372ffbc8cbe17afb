//! fastgd: linear models by gradient descent. This file is the map; every room says in its first line what it is.
//!
//! ```text
//! error, exponential -> kernels                      what is wrong with a request; exp and log; the passes over a row
//!   -> registry -> loss, optimizer, schedule         what a run is made of: a part is a formula and a row
//!   -> relay                                         chunks made ready ahead of whoever takes them
//!   -> row, shuffle, pace -> verdict -> source -> online
//!                                                    rows one by one, sparse ones too, as scikit-learn descends
//!   -> row -> sparse -> data, penalty, threads -> objective, gram, turned -> brought, lazy
//!                                                    what is minimised: mean loss over rows, plus penalty
//!   -> observe, sampler, history, stop, tail         what surrounds it: onlookers, batches, records, ends
//!        -> solver, descent, permute -> py           the loop, NumPy's permutations, and the door to Python
//! ```
pub mod brought;
pub mod data;
pub mod descent;
pub mod error;
pub mod exponential;
pub mod gram;
pub mod history;
pub mod kernels;
pub mod lazy;
pub mod loss;
pub mod objective;
pub mod observe;
pub mod online;
pub mod optimizer;
pub mod pace;
pub mod penalty;
pub mod permute;
pub mod registry;
pub mod relay;
pub mod row;
pub mod sampler;
pub mod schedule;
pub mod shuffle;
pub mod solver;
pub mod source;
pub mod sparse;
pub mod stop;
pub mod tail;
pub mod threads;
pub mod turned;
pub mod verdict;

#[cfg(feature = "python")]
mod py;
