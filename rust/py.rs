//! Py: the door to Python, and with its folder all that knows of it. Requests come in checked and normalised by
//! `fastgd._fit`; errors become ValueError here alone; a panic becomes one RuntimeError.

mod online;
mod sparse;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use numpy::ndarray::{Array1, Array2, Array3};
use numpy::{
    IntoPyArray, PyArray1, PyArray2, PyArrayDyn, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2,
    PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};

use crate::data::{Dense, Pick, Problem, Rows, Standard};
use crate::descent::{Function, descend};
use crate::error::Error;
use crate::gram;
use crate::history::Record;
use crate::kernels::{self, Element};
use crate::loss::{Facts, LOSSES, Reduction, Targets, loss};
use crate::objective::{Objective, Scratch, predictions};
use crate::observe::{LookUp, Observe, Reached, State, Watch};
use crate::optimizer::{OPTIMIZERS, Use, optimizer};
use crate::penalty::Penalty;
use crate::permute::{Ahead, Pcg64, numbered};
use crate::registry::{self, Parameter, Part};
use crate::sampler::{Permute, Shuffle};
use crate::schedule::{SCHEDULES, Time, schedule};
use crate::solver::{Config, Solution, solve as solve_in_rust};
use crate::threads::{each_part, parts};

use self::sparse::Compressed;

/// fastgd's engine. Called by `fastgd`, which checks what comes in; not meant to be called directly.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::online::descend_online;
    #[pymodule_export]
    use super::sparse::compress;
    #[pymodule_export]
    use super::{
        choose, finite, gradient_descent, kernel, loss_and_gradient, losses, moments, optimizers, predict, rate,
        schedules, solve,
    };

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the names are Python's")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    /// Whether the optimiser was on when this module was built.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the names are Python's")]
    const release: bool = !cfg!(debug_assertions);
}

/// Parameters as they were given.
type Given = Vec<(String, f64)>;

fn choice<'py>(owner: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<(String, Given)> {
    let (name, given): (String, HashMap<String, f64>) = owner.getattr(name)?.extract()?;
    Ok((name, sorted(given)))
}

/// By name, so that of several errors always the same one is told.
fn sorted(given: HashMap<String, f64>) -> Given {
    let mut given: Given = given.into_iter().collect();
    given.sort_by(|a, b| a.0.cmp(&b.0));
    given
}

fn raise(error: Error) -> PyErr {
    match error {
        Error::Memory { .. } => PyMemoryError::new_err(error.to_string()),
        Error::Interrupted => PyRuntimeError::new_err(BUG),
        Error::Argument { .. } => PyValueError::new_err(error.to_string()),
    }
}

const BUG: &str = "fastgd bug: please report";

/// Runs `work` with the interpreter released. A Python exception that `failure` took up comes out as it was.
fn released<T: Send>(py: Python, failure: &Failure, work: impl FnOnce() -> Result<T, Error> + Send) -> PyResult<T> {
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(work)));
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failure.take().unwrap_or_else(|| raise(error))),
        Err(_) => Err(PyRuntimeError::new_err(BUG)),
    }
}

/// Where a Python exception waits while Rust unwinds.
#[derive(Default)]
struct Failure(Mutex<Option<PyErr>>);

impl Failure {
    fn take(&self) -> Option<PyErr> {
        self.0.lock().ok().and_then(|mut held| held.take())
    }

    /// Takes up an exception and ends the run.
    fn hold<T>(&self, outcome: PyResult<T>) -> Result<T, Error> {
        outcome.map_err(|error| {
            if let Ok(mut held) = self.0.lock() {
                held.get_or_insert(error);
            }
            Error::Interrupted
        })
    }
}

/// X as it lies in memory, borrowed for the length of a call.
enum Table<'py> {
    F64(PyReadonlyArray2<'py, f64>),
    F32(PyReadonlyArray2<'py, f32>),
    Sparse(Compressed<'py>),
}

impl<'py> Table<'py> {
    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(match x.cast::<PyArray2<f32>>() {
            Ok(x) => Table::F32(x.try_readonly()?),
            Err(_) if x.hasattr("indptr")? => Table::Sparse(Compressed::new(x)?),
            Err(_) => Table::F64(x.extract()?),
        })
    }

    /// Calls `work` with the rows in these coordinates, and their number.
    fn with<T>(&self, standard: Standard, work: impl FnOnce(&dyn Rows, usize) -> PyResult<T>) -> PyResult<T> {
        match self {
            Table::F64(x) => work(&dense(x, standard)?, x.shape()[0]),
            Table::F32(x) => work(&dense(x, standard)?, x.shape()[0]),
            Table::Sparse(x) => x.with(standard, |rows| work(rows, rows.n())),
        }
    }
}

/// The arrays of a `fastgd._request.Problem`, and the coordinates that its rows are seen in.
struct Arrays<'py> {
    x: Table<'py>,
    y: PyReadonlyArray2<'py, f64>,
    weight: Option<PyReadonlyArray1<'py, f64>>,
    frame: Coordinates,
}

/// A `fastgd._standard.Frame`, or none.
#[derive(Default)]
struct Coordinates {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

impl Coordinates {
    fn new(frame: &Bound<PyAny>) -> PyResult<Self> {
        if frame.is_none() {
            return Ok(Coordinates::default());
        }
        let mean: PyReadonlyArray1<f64> = frame.getattr("mean")?.extract()?;
        let scale: PyReadonlyArray1<f64> = frame.getattr("scale")?.extract()?;
        let inverse = scale.as_slice()?.iter().map(|scale| 1.0 / scale).collect();
        Ok(Coordinates { mean: mean.as_slice()?.to_vec(), inverse })
    }

    fn standard(&self) -> Standard<'_> {
        Standard { mean: &self.mean, inverse: &self.inverse }
    }
}

impl<'py> Arrays<'py> {
    fn new(problem: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = problem.py();
        let x = Table::new(&problem.getattr(intern!(py, "X"))?)?;
        let (y, weight) =
            (problem.getattr(intern!(py, "y"))?.extract()?, problem.getattr(intern!(py, "sample_weight"))?.extract()?);
        Ok(Arrays { x, y, weight, frame: Coordinates::new(&problem.getattr(intern!(py, "frame"))?)? })
    }

    /// Calls `work` with the problem that borrows these arrays; with so many `classes` where outputs are of one loss.
    fn with<T>(&self, classes: Option<usize>, work: impl FnOnce(&Problem) -> PyResult<T>) -> PyResult<T> {
        let y = self.y.as_slice()?;
        let weight = match &self.weight {
            Some(weight) => weight.as_slice()?,
            None => &[],
        };
        self.x.with(self.frame.standard(), |rows, n| {
            let problem = Problem::new(rows, n, y, self.y.shape()[1], weight).map_err(raise)?;
            let Some(classes) = classes else { return work(&problem) };
            if y.iter().any(|&y| y >= classes as f64) {
                return Err(bug("a class beyond all coefficients"));
            }
            work(&problem.coupled(classes).map_err(raise)?)
        })
    }
}

/// Rows in C or Fortran order.
fn dense<'a, T: Element + numpy::Element>(
    x: &'a PyReadonlyArray2<T>,
    standard: Standard<'a>,
) -> PyResult<Dense<'a, T>> {
    let table = Dense::new(x.as_slice()?, x.shape()[1]).map_err(raise)?;
    let table = if x.is_c_contiguous() { table } else { table.by_columns() };
    table.standard(standard).map_err(raise)
}

/// The rate at update k, after so many finished epochs, of a schedule from `lr` that ends with update `last`.
#[pyfunction]
fn rate(schedule: &Bound<'_, PyAny>, lr: f64, k: u64, finished: u64, last: u64) -> PyResult<f64> {
    let (name, given): (String, HashMap<String, f64>) = schedule.extract()?;
    let schedule = self::schedule(&name, &sorted(given)).map_err(raise)?;
    Ok(schedule.rate(lr, Time { k, finished, last }))
}

/// Whether no value of an aligned float64 or float32 array in C or Fortran order is NaN or infinite.
#[pyfunction]
#[pyo3(signature = (values, threads=1))]
fn finite(py: Python<'_>, values: &Bound<'_, PyAny>, threads: usize) -> PyResult<bool> {
    match values.cast::<PyArrayDyn<f32>>() {
        Ok(values) => all_finite(py, values.try_readonly()?.as_slice()?, threads),
        Err(_) => all_finite(py, values.extract::<PyReadonlyArrayDyn<f64>>()?.as_slice()?, threads),
    }
}

fn all_finite<T: Element>(py: Python<'_>, values: &[T], threads: usize) -> PyResult<bool> {
    let (set, failure) = (kernels::set().map_err(raise)?, Failure::default());
    if values.len() < 1 << 14 {
        return Ok(kernels::finite(set, values));
    }
    released(py, &failure, || {
        let mut outside = Outside { callback: None, progress: None, failure: &failure, d: 1 };
        let found = each_part(parts(values.len(), 1), 1, threads, &mut Watch::new(&mut outside), |part, watch| {
            for block in values[part].chunks(1 << 18) {
                if !kernels::finite(set, block) {
                    return Ok(false);
                }
                watch.tick(block.len())?;
            }
            Ok(true)
        })?;
        Ok(found.into_iter().all(|finite| finite))
    })
}

/// X w + b: (n, K) from X (n, d) seen in the coordinates of `frame`, `coef` (K, d) and `intercept` (K,).
#[pyfunction]
#[pyo3(signature = (X, frame, coef, intercept))]
#[allow(non_snake_case, reason = "the rows' name")]
fn predict<'py>(
    py: Python<'py>,
    X: &Bound<'py, PyAny>,
    frame: &Bound<'py, PyAny>,
    coef: PyReadonlyArray2<'py, f64>,
    intercept: PyReadonlyArray1<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let (w, b) = (coef.as_slice()?, intercept.as_slice()?);
    Table::new(X)?.with(Coordinates::new(frame)?.standard(), |rows, n| {
        if w.len() != b.len() * rows.d() {
            return Err(bug("coefficients of another shape"));
        }
        let failure = Failure::default();
        let raw = released(py, &failure, || {
            let mut outside = Outside { callback: None, progress: None, failure: &failure, d: 1 };
            predictions(rows, n, w, b, &mut Watch::new(&mut outside))
        })?;
        Ok(shaped2(n, b.len(), raw)?.into_pyarray(py))
    })
}

/// The set of kernels in use.
#[pyfunction]
fn kernel() -> PyResult<&'static str> {
    Ok(kernels::set().map_err(raise)?.name())
}

/// (weight, (p,), (p,), (p, p) or (p,), (p,))
type Sums<'py> =
    (f64, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>, Bound<'py, PyAny>, Bound<'py, PyArray1<bool>>);

/// Weight, origin, mean from there, products about the mean (upper half; of different columns only if `cross`) of the
/// columns (X | y), and whether they vary.
#[pyfunction]
fn moments<'py>(py: Python<'py>, problem: &Bound<'py, PyAny>, cross: bool, threads: usize) -> PyResult<Sums<'py>> {
    let (arrays, set) = (Arrays::new(problem)?, kernels::set().map_err(raise)?);
    arrays.with(None, |problem| {
        let failure = Failure::default();
        let found = released(py, &failure, || {
            let mut outside = Outside { callback: None, progress: None, failure: &failure, d: 1 };
            gram::moments(problem, cross, set, threads, &mut Watch::new(&mut outside))
        })?;
        let p = found.mean.len();
        let products = match cross {
            true => shaped2(p, p, found.products)?.into_pyarray(py).into_any(),
            false => found.products.into_pyarray(py).into_any(),
        };
        let [origin, mean] = [found.origin, found.mean].map(|column| column.into_pyarray(py));
        Ok((found.weight, origin, mean, products, found.varies.into_pyarray(py)))
    })
}

/// The start as one vector, in the layout of `Objective`.
fn theta(coef: &Bound<PyAny>, intercept: &Bound<PyAny>, objective: &Objective) -> PyResult<Vec<f64>> {
    let coef: PyReadonlyArray2<f64> = coef.extract()?;
    let intercept: PyReadonlyArray1<f64> = intercept.extract()?;
    let mut theta = coef.as_slice()?.to_vec();
    if objective.fit_intercept {
        theta.extend_from_slice(intercept.as_slice()?);
    }
    if theta.len() != objective.size() {
        return Err(PyValueError::new_err("init must have one coefficient a feature and one intercept an output"));
    }
    Ok(theta)
}

/// How many outputs a loss sees together that couples them: as many as there are coefficients for.
fn classes(facts: &Facts, config: &Bound<PyAny>) -> PyResult<Option<usize>> {
    let coef: PyReadonlyArray2<f64> = config.getattr(intern!(config.py(), "coef"))?.extract()?;
    Ok(facts.targets.coupled().then(|| coef.shape()[0]))
}

/// What the world outside does to a run: signals, and the callback; and who is told how far it is.
struct Outside<'a> {
    callback: Option<&'a Py<PyAny>>,
    progress: Option<&'a Py<PyAny>>,
    failure: &'a Failure,
    d: usize,
}

impl Observe for Outside<'_> {
    fn look_up(&mut self, reached: Reached) -> Result<(), Error> {
        self.failure.hold(Python::attach(|py| {
            py.check_signals()?;
            self.progress.map_or(Ok(()), |progress| progress.call1(py, (reached.epoch, reached.loss)).map(drop))
        }))
    }

    fn epoch(&mut self, state: &State) -> Result<bool, Error> {
        let Some(callback) = self.callback else { return Ok(false) };
        self.failure.hold(Python::attach(|py| {
            let coef = PyArray1::from_slice(py, state.coef).reshape([state.coef.len() / self.d, self.d])?;
            let mut intercept = state.intercept.to_vec();
            intercept.resize(state.coef.len() / self.d, 0.0);
            let intercept = intercept.into_pyarray(py);
            let arguments = (state.epoch, state.step, state.loss, coef, intercept, state.rate, state.grad_norm);
            callback.bind(py).call1(arguments)?.is_truthy()
        }))
    }

    fn looks(&self) -> bool {
        self.callback.is_some()
    }
}

/// Minimises the objective that `problem` and `config` (of `fastgd._fit`) describe.
///
/// `observe(epoch, step, loss, coef, intercept, lr, grad_norm)` is called after every epoch and may return True to
/// stop; `progress(epoch, loss)` every 50 ms, with the epochs done and the loss of the latest (NaN before the first).
#[pyfunction]
#[pyo3(signature = (problem, config, observe=None, progress=None))]
fn solve<'py>(
    py: Python<'py>,
    problem: &Bound<'py, PyAny>,
    config: &Bound<'py, PyAny>,
    observe: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (arrays, set) = (Arrays::new(problem)?, kernels::set().map_err(raise)?);
    let (name, parameters) = choice(config, intern!(py, "loss"))?;
    let (loss, facts) = loss(&name, &parameters).map_err(raise)?;
    let (name, parameters) = choice(config, intern!(py, "optimizer"))?;
    let (optimizer, _) = optimizer(&name, &parameters).map_err(raise)?;
    let (name, parameters) = choice(config, intern!(py, "schedule"))?;
    let schedule = schedule(&name, &parameters).map_err(raise)?;
    let mut run = Config {
        optimizer,
        implicit: config.getattr(intern!(py, "implicit"))?.extract()?,
        schedule,
        lr: config.getattr(intern!(py, "lr"))?.extract()?,
        epochs: config.getattr(intern!(py, "epochs"))?.extract()?,
        batch_size: config.getattr(intern!(py, "batch_size"))?.extract()?,
        shuffle: shuffle(&config.getattr(intern!(py, "shuffle"))?)?,
        tol: config.getattr(intern!(py, "tol"))?.extract()?,
        rounding: config.getattr(intern!(py, "rounding"))?.extract()?,
        slack: config.getattr(intern!(py, "slack"))?.extract()?,
        certificate: config.getattr(intern!(py, "certificate"))?.extract()?,
        most_records: config.getattr(intern!(py, "most_records"))?.extract()?,
        patience: config.getattr(intern!(py, "patience"))?.extract()?,
        halving: config.getattr(intern!(py, "halving"))?.extract()?,
        record: record(&config.getattr(intern!(py, "record"))?)?,
        steps_before: config.getattr(intern!(py, "steps_before"))?.extract()?,
        exact_loss: config.getattr(intern!(py, "exact_loss"))?.extract()?,
        tail_average: config.getattr(intern!(py, "tail_average"))?.extract()?,
    };
    let (l1, l2) = (config.getattr(intern!(py, "l1"))?.extract()?, config.getattr(intern!(py, "l2"))?.extract()?);
    let scale: Option<PyReadonlyArray1<f64>> = config.getattr(intern!(py, "penalty_scale"))?.extract()?;
    let scale = scale.as_ref().map(|scale| scale.as_slice()).transpose()?.unwrap_or(&[]);
    let penalty = Penalty { l1, l2, positive: config.getattr(intern!(py, "positive"))?.extract()?, scale };
    let fit_intercept = config.getattr(intern!(py, "fit_intercept"))?.extract()?;
    let threads = config.getattr(intern!(py, "threads"))?.extract()?;
    let rng = &config.getattr(intern!(py, "rng"))?;
    let draws = run.batch_size.is_some() && run.shuffle != Shuffle::No;
    let start = if draws { generator(rng)? } else { None };
    let shared = config.getattr(intern!(py, "rng_is_shared"))?.extract()?;
    let failure = Failure::default();
    let validation = config.getattr(intern!(py, "validation"))?;
    let validation = if validation.is_none() { None } else { Some(Arrays::new(&validation)?) };

    let classes = classes(&facts, config)?;
    arrays.with(classes, |problem| {
        let objective =
            Objective { problem, loss: &*loss, reduction: facts.reduction, penalty, fit_intercept, threads, set };
        let theta =
            theta(&config.getattr(intern!(py, "coef"))?, &config.getattr(intern!(py, "intercept"))?, &objective)?;
        let d = problem.rows.d();
        let mut run_with = |validation: Option<&Objective>| {
            let mut outside = Outside { callback: observe.as_ref(), progress: progress.as_ref(), failure: &failure, d };
            let (n, rng) = (objective.problem.n, rng.clone().unbind());
            let mut orders = Orders { rng, shared, own: start, ahead: Ahead::new(n), n, failure: &failure };
            let solution = released(py, &failure, || {
                solve_in_rust(&objective, validation, &mut run, theta.clone(), &mut orders, &mut outside)
            })?;
            answer(py, solution, problem.outputs, d)
        };
        match &validation {
            None => run_with(None),
            Some(arrays) => arrays.with(classes, |rows| {
                run_with(Some(&Objective { problem: rows, penalty: Penalty::default(), ..objective }))
            }),
        }
    })
}

/// A solution as `fastgd._fit.Solution`.
fn answer(py: Python<'_>, solution: Solution, outputs: usize, d: usize) -> PyResult<Bound<'_, PyDict>> {
    let (coef, intercept) = solution.theta.split_at(outputs * d);
    let mut intercept = intercept.to_vec();
    intercept.resize(outputs, 0.0);
    let out = PyDict::new(py);
    out.set_item(intern!(py, "coef"), shaped2(outputs, d, coef.to_vec())?.into_pyarray(py))?;
    out.set_item(intern!(py, "intercept"), intercept.into_pyarray(py))?;
    out.set_item(intern!(py, "loss"), solution.loss)?;
    out.set_item(intern!(py, "status"), solution.status.name())?;
    out.set_item(intern!(py, "n_epochs"), solution.epochs)?;
    out.set_item(intern!(py, "n_steps"), solution.steps)?;
    out.set_item(intern!(py, "best_epoch"), solution.best_epoch)?;
    out.set_item(intern!(py, "grad_norm"), solution.grad_norm)?;
    out.set_item(intern!(py, "halvings"), solution.halvings)?;
    out.set_item(intern!(py, "idle"), solution.idle)?;
    let history = solution.history;
    let records = history.loss.len();
    let columns = PyDict::new(py);
    columns.set_item(intern!(py, "epoch"), history.epoch.into_pyarray(py))?;
    columns.set_item(intern!(py, "step"), history.step.into_pyarray(py))?;
    columns.set_item(intern!(py, "loss"), history.loss.into_pyarray(py))?;
    let coef = Array3::from_shape_vec([records, outputs, d], history.coef).map_err(bug)?;
    columns.set_item(intern!(py, "coef"), coef.into_pyarray(py))?;
    columns.set_item(intern!(py, "intercept"), shaped2(records, outputs, history.intercept)?.into_pyarray(py))?;
    columns.set_item(intern!(py, "lr"), history.rate.into_pyarray(py))?;
    columns.set_item(intern!(py, "grad_norm"), history.grad_norm.into_pyarray(py))?;
    columns.set_item(intern!(py, "seconds"), history.seconds.into_pyarray(py))?;
    columns.set_item(intern!(py, "val_loss"), history.val_loss.into_pyarray(py))?;
    out.set_item(intern!(py, "history"), columns)?;
    Ok(out)
}

fn shaped2(rows: usize, columns: usize, values: Vec<f64>) -> PyResult<Array2<f64>> {
    Array2::from_shape_vec([rows, columns], values).map_err(bug)
}

fn bug(_: impl std::fmt::Display) -> PyErr {
    PyRuntimeError::new_err(BUG)
}

/// Orders of n rows as NumPy draws them.
struct Orders<'a> {
    rng: Py<PyAny>,
    /// Whether somebody else may use it meanwhile.
    shared: bool,
    /// Its state, if it is a generator over PCG64.
    own: Option<Pcg64>,
    ahead: Ahead,
    n: usize,
    failure: &'a Failure,
}

impl Permute for Orders<'_> {
    fn draw(&mut self, order: &mut Vec<u32>) -> Result<(), Error> {
        let Orders { rng, shared, own, ahead, n, failure } = self;
        match own {
            Some(_) if *shared => failure.hold(numpys_next(rng, order, ahead)),
            Some(own) => ahead.permutation(own, order, &mut || failure.hold(signals())),
            None => failure.hold(permutation(rng, *n, order)),
        }
    }

    fn draws_ahead(&self) -> bool {
        self.own.is_some()
    }

    fn ahead(&self, look_up: &mut LookUp) {
        self.ahead.draw(look_up);
    }
}

/// The next permutation of a generator over PCG64, under its lock, as NumPy would draw it and leave it.
fn numpys_next(rng: &Py<PyAny>, order: &mut Vec<u32>, ahead: &mut Ahead) -> PyResult<()> {
    let lock = Python::attach(|py| {
        let lock = rng.bind(py).getattr("bit_generator")?.getattr("lock")?;
        lock.call_method0("acquire")?;
        PyResult::Ok(lock.unbind())
    })?;
    let drawn = (|| {
        let held = Python::attach(|py| pcg64(rng.bind(py)))?;
        let Some(mut generator) = held else { return Err(bug("another generator")) };
        let failure = Failure::default();
        let mut look_up = || failure.hold(signals());
        ahead
            .permutation(&mut generator, order, &mut look_up)
            .map_err(|error| failure.take().unwrap_or_else(|| raise(error)))?;
        Python::attach(|py| leave_at(rng.bind(py), &generator))
    })();
    Python::attach(|py| lock.bind(py).call_method0("release").map(drop))?;
    drawn
}

fn signals() -> PyResult<()> {
    Python::attach(|py| py.check_signals())
}

/// NumPy's own permutation, so that the generator is left as NumPy would leave it.
fn permutation(rng: &Py<PyAny>, n: usize, order: &mut Vec<u32>) -> PyResult<()> {
    let count = numbered(n).map_err(raise)?;
    Python::attach(|py| {
        let drawn = rng.bind(py).call_method1("permutation", (n,))?;
        let drawn: PyReadonlyArray1<i64> = drawn.call_method1("astype", ("int64",))?.extract()?; // int32 on some systems
        order.clear();
        order.extend(drawn.as_slice()?.iter().map(|&i| u32::try_from(i).unwrap_or(count))); // which is no row
        Ok(())
    })
}

/// The state that a run draws from, of a seed or of NumPy's own Generator over PCG64; None of all others.
fn generator(rng: &Bound<PyAny>) -> PyResult<Option<Pcg64>> {
    match rng.cast::<PyInt>() {
        Ok(seed) => Ok(Some(Pcg64::seeded(seed.extract()?))),
        Err(_) => pcg64(rng),
    }
}

/// The state of NumPy's own Generator over PCG64; None of all others.
fn pcg64(rng: &Bound<PyAny>) -> PyResult<Option<Pcg64>> {
    if rng.get_type().name()? != "Generator" || rng.get_type().module()? != "numpy.random._generator" {
        return Ok(None);
    }
    let held = rng.getattr("bit_generator")?.getattr("state")?;
    if held.get_item("bit_generator")?.extract::<&str>()? != "PCG64" {
        return Ok(None);
    }
    let inner = held.get_item("state")?;
    Ok(Some(Pcg64 {
        state: inner.get_item("state")?.extract()?,
        increment: inner.get_item("inc")?.extract()?,
        half: held.get_item("uinteger")?.extract()?,
        spare: held.get_item("has_uint32")?.extract::<u32>()? != 0,
    }))
}

/// Puts NumPy's generator where the permutations that were used would have left it.
fn leave_at(rng: &Bound<PyAny>, drawn: &Pcg64) -> PyResult<()> {
    let py = rng.py();
    let (held, inner) = (PyDict::new(py), PyDict::new(py));
    inner.set_item("state", drawn.state)?;
    inner.set_item("inc", drawn.increment)?;
    held.set_item("bit_generator", "PCG64")?;
    held.set_item("state", inner)?;
    held.set_item("has_uint32", u32::from(drawn.spare))?;
    held.set_item("uinteger", drawn.half)?;
    rng.getattr("bit_generator")?.setattr("state", held)
}

fn shuffle(value: &Bound<PyAny>) -> PyResult<Shuffle> {
    match value.cast::<PyBool>() {
        Ok(every) => Ok(if every.is_true() { Shuffle::EveryEpoch } else { Shuffle::No }),
        Err(_) if value.extract::<&str>()? == "once" => Ok(Shuffle::Once),
        Err(_) => Err(bug("shuffle")),
    }
}

fn record(value: &Bound<PyAny>) -> PyResult<Record> {
    if value.is_none() {
        return Ok(Record::Nothing);
    }
    match value.extract::<u64>() {
        Ok(every) => Ok(Record::Steps(every)),
        Err(_) if value.extract::<&str>()? == "epoch" => Ok(Record::Epochs),
        Err(_) => Err(bug("record")),
    }
}

/// (loss, (K, d), (K,))
type Evaluated<'py> = (f64, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>);

/// The objective, and the gradient of all of it but the l1 part.
#[pyfunction]
fn loss_and_gradient<'py>(
    py: Python<'py>,
    problem: &Bound<'py, PyAny>,
    config: &Bound<'py, PyAny>,
) -> PyResult<Evaluated<'py>> {
    let (arrays, set) = (Arrays::new(problem)?, kernels::set().map_err(raise)?);
    let (name, parameters) = choice(config, intern!(py, "loss"))?;
    let (loss, facts) = loss(&name, &parameters).map_err(raise)?;
    let (l1, l2) = (config.getattr("l1")?.extract()?, config.getattr("l2")?.extract()?);
    let penalty = Penalty { l1, l2, ..Penalty::default() };
    arrays.with(classes(&facts, config)?, |problem| {
        let objective = Objective {
            problem,
            loss: &*loss,
            reduction: facts.reduction,
            penalty,
            fit_intercept: true,
            threads: config.getattr("threads")?.extract()?,
            set,
        };
        let theta = theta(&config.getattr("coef")?, &config.getattr("intercept")?, &objective)?;
        let failure = Failure::default();
        let (value, grad) = released(py, &failure, || {
            let (mut grad, mut scratch) = (vec![0.0; theta.len()], Scratch::default());
            let mut outside = Outside { callback: None, progress: None, failure: &failure, d: problem.rows.d() };
            let mut watch = Watch::new(&mut outside);
            let all: Pick = objective.all();
            let sum = objective.gradient(&all, &theta, &mut grad, &mut scratch, &mut watch)?;
            Ok((objective.reduce(sum, all.len()) + objective.penalty(&theta), grad))
        })?;
        let (coef, intercept) = grad.split_at(objective.coefs());
        let coef = shaped2(problem.outputs, problem.rows.d(), coef.to_vec())?;
        Ok((value, coef.into_pyarray(py), Array1::from(intercept.to_vec()).into_pyarray(py)))
    })
}

/// A function written in Python.
struct Supplied<'py> {
    gradient: Bound<'py, PyAny>,
    fun: Option<Bound<'py, PyAny>>,
    failure: &'py Failure,
}

impl Function for Supplied<'_> {
    fn gradient(&mut self, x: &[f64], grad: &mut [f64]) -> Result<(), Error> {
        let answer = (|| {
            let x = PyArray1::from_slice(self.gradient.py(), x);
            let answer: PyReadonlyArray1<f64> = self.gradient.call1((x,))?.extract()?;
            let answer = answer.as_slice()?;
            if answer.len() != grad.len() {
                return Err(bug("a gradient of another length"));
            }
            grad.copy_from_slice(answer);
            Ok(())
        })();
        self.failure.hold(answer)
    }

    fn value(&mut self, x: &[f64]) -> Result<Option<f64>, Error> {
        let Some(fun) = &self.fun else { return Ok(None) };
        self.failure.hold(fun.call1((PyArray1::from_slice(fun.py(), x),)).and_then(|value| value.extract()).map(Some))
    }
}

/// ((n_steps + 1, d), (n_steps + 1,) or (0,), status)
type Walked<'py> = (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>, &'static str);

/// Descends any function; `gradient` takes and returns a (d,) array, `fun` returns a float. Returns (x, fun, status).
#[pyfunction]
#[pyo3(signature = (gradient, fun, config))]
fn gradient_descent<'py>(
    py: Python<'py>,
    gradient: Bound<'py, PyAny>,
    fun: Option<Bound<'py, PyAny>>,
    config: &Bound<'py, PyAny>,
) -> PyResult<Walked<'py>> {
    let (name, parameters) = choice(config, intern!(py, "optimizer"))?;
    let (mut rule, _) = optimizer(&name, &parameters).map_err(raise)?;
    let (name, parameters) = choice(config, intern!(py, "schedule"))?;
    let rate = schedule(&name, &parameters).map_err(raise)?;
    let x0: PyReadonlyArray1<f64> = config.getattr("x0")?.extract()?;
    let numbers =
        (config.getattr("lr")?.extract()?, config.getattr("steps")?.extract()?, config.getattr("tol")?.extract()?);
    let failure = Failure::default();
    let mut supplied = Supplied { gradient, fun, failure: &failure };
    let start = x0.as_slice()?;
    let walk = AssertUnwindSafe(|| descend(&mut supplied, start, &mut *rule, &*rate, numbers));
    let path = match catch_unwind(walk) {
        Ok(path) => path.map_err(|error| failure.take().unwrap_or_else(|| raise(error)))?,
        Err(_) => return Err(bug("a panic")),
    };
    let x = shaped2(path.steps as usize + 1, x0.len(), path.x)?;
    Ok((x.into_pyarray(py), path.fun.into_pyarray(py), path.status.name()))
}

/// Parameters with their values, whole numbers as int.
fn dict_of<'py>(py: Python<'py>, parameters: &[Parameter], values: &[f64]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (parameter, &value) in parameters.iter().zip(values) {
        match parameter.range.whole {
            true => dict.set_item(parameter.name, value as u64)?,
            false => dict.set_item(parameter.name, value)?,
        }
    }
    Ok(dict)
}

fn row<'py>(py: Python<'py>, formula: &str, given: &[Parameter]) -> PyResult<Bound<'py, PyDict>> {
    let row = PyDict::new(py);
    row.set_item("formula", formula)?;
    let defaults: Vec<f64> = given.iter().map(|parameter| parameter.default).collect();
    row.set_item("parameters", dict_of(py, given, &defaults)?)?;
    Ok(row)
}

/// The row called `name` of the table of a `family` ("loss", "optimizer", "schedule"): its name and the values of all
/// its parameters, those not given by default.
#[pyfunction]
fn choose<'py>(
    py: Python<'py>,
    family: &str,
    name: &str,
    given: HashMap<String, f64>,
) -> PyResult<(String, Bound<'py, PyDict>)> {
    fn resolve<'py, T: ?Sized, F>(
        py: Python<'py>,
        family: &str,
        table: &[Part<T, F>],
        name: &str,
        given: &Given,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (part, values) = registry::choose(family, table, name, given).map_err(raise)?;
        dict_of(py, part.parameters, &values)
    }
    let given = sorted(given);
    let values = match family {
        "loss" => resolve(py, family, LOSSES, name, &given),
        "optimizer" => resolve(py, family, OPTIMIZERS, name, &given),
        "schedule" => resolve(py, family, SCHEDULES, name, &given),
        _ => return Err(bug("family")),
    };
    Ok((name.to_string(), values?))
}

/// The table of losses: name -> formula, parameters, curvature, smooth, squared, targets, reduction.
#[pyfunction]
fn losses(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let table = PyDict::new(py);
    for part in LOSSES {
        let row = row(py, part.formula, part.parameters)?;
        row.set_item("curvature", part.facts.curvature)?;
        row.set_item("smooth", part.facts.smooth)?;
        row.set_item("squared", part.facts.squared)?;
        match part.facts.targets {
            Targets::Real => row.set_item("targets", "real")?,
            Targets::NonNegative => row.set_item("targets", "non-negative")?,
            Targets::OneOf(values) => row.set_item("targets", PyList::new(py, values)?)?,
            Targets::Class => row.set_item("targets", "class")?,
        }
        row.set_item("reduction", if part.facts.reduction == Reduction::Mean { "mean" } else { "sum" })?;
        table.set_item(part.name, row)?;
    }
    Ok(table)
}

/// The table of update rules: name -> formula, parameters, use.
#[pyfunction]
fn optimizers(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let table = PyDict::new(py);
    for part in OPTIMIZERS {
        let row = row(py, part.formula, part.parameters)?;
        let uses = match part.facts {
            Use::Any => "any batches",
            Use::FullBatch => "full batch",
            Use::SingleRows => "single rows",
        };
        row.set_item("use", uses)?;
        table.set_item(part.name, row)?;
    }
    Ok(table)
}

/// The table of schedules: name -> formula, parameters.
#[pyfunction]
fn schedules(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let table = PyDict::new(py);
    for part in SCHEDULES {
        table.set_item(part.name, row(py, part.formula, part.parameters)?)?;
    }
    Ok(table)
}
