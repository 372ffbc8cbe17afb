//! The door for descent by single rows: arrays of `fastgd.estimators`, dense or sparse.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Failure, Outside, bug, choice, raise, released};
use crate::kernels::Element;
use crate::loss::{Loss, loss};
use crate::online::{self, Config, Iterate, Outcome};
use crate::pace::{Elastic, Rate};
use crate::row::{Csr, Grid, Index, Stored};
use crate::verdict::{Astray, Score, Told, Validation};

/// Arrays that rows lie in, borrowed for the length of a call.
trait Source<'py>: Sized {
    type Table<'a>: Stored
    where
        Self: 'a;

    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self>;

    fn table(&self) -> PyResult<Self::Table<'_>>;
}

struct Dense<'py, T: numpy::Element>(PyReadonlyArray2<'py, T>);

impl<'py, T: Element + numpy::Element> Source<'py> for Dense<'py, T> {
    type Table<'a>
        = Grid<'a, T>
    where
        Self: 'a;

    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        let x: PyReadonlyArray2<'py, T> = x.extract()?;
        if x.is_c_contiguous() { Ok(Dense(x)) } else { Err(bug("X in another order")) }
    }

    fn table(&self) -> PyResult<Grid<'_, T>> {
        Grid::new(self.0.as_slice()?, self.0.shape()[1]).map_err(raise)
    }
}

/// (data, indices, indptr, d) of a CSR matrix.
struct Sparse<'py, T: numpy::Element, I: numpy::Element> {
    data: PyReadonlyArray1<'py, T>,
    indices: PyReadonlyArray1<'py, I>,
    indptr: PyReadonlyArray1<'py, I>,
    d: usize,
}

impl<'py, T: Element + numpy::Element, I: Index + numpy::Element> Source<'py> for Sparse<'py, T, I> {
    type Table<'a>
        = Csr<'a, T, I>
    where
        Self: 'a;

    fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Sparse {
            data: x.get_item(0)?.extract()?,
            indices: x.get_item(1)?.extract()?,
            indptr: x.get_item(2)?.extract()?,
            d: x.get_item(3)?.extract()?,
        })
    }

    fn table(&self) -> PyResult<Csr<'_, T, I>> {
        Csr::new(self.data.as_slice()?, self.indices.as_slice()?, self.indptr.as_slice()?, self.d).map_err(raise)
    }
}

/// A request of `fastgd._online`.
struct Request<'a, 'py> {
    x: &'a Bound<'py, PyAny>,
    told: &'a Bound<'py, PyAny>,
    validation: Option<&'a Bound<'py, PyAny>>,
    config: Config<'a>,
    start: Iterate,
    observe: Option<&'a Py<PyAny>>,
}

/// Descends by single rows; the answer is a `fastgd._online.Outcome`.
///
/// X is (n, d) in C order, or (data, indices, indptr, d) of a CSR matrix. `observe` is called as that of `solve`.
#[pyfunction]
#[pyo3(signature = (X, told, validation, config, start, observe=None))]
#[allow(non_snake_case, reason = "the rows' name")]
pub(super) fn descend_online<'py>(
    py: Python<'py>,
    X: &Bound<'py, PyAny>,
    told: &Bound<'py, PyAny>,
    validation: &Bound<'py, PyAny>,
    config: &Bound<'py, PyAny>,
    start: &Bound<'py, PyAny>,
    observe: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (name, parameters) = choice(config, pyo3::intern!(config.py(), "loss"))?;
    let (loss, _) = loss(&name, &parameters).map_err(raise)?;
    let request = Request {
        x: X,
        told,
        validation: (!validation.is_none()).then_some(validation),
        config: asked(config, &*loss)?,
        start: Iterate {
            w: floats(&start.getattr("coef")?)?,
            b: start.getattr("intercept")?.extract()?,
            mean_w: floats(&start.getattr("mean_coef")?)?,
            mean_b: start.getattr("mean_intercept")?.extract()?,
            t: start.getattr("t")?.extract()?,
        },
        observe: observe.as_ref(),
    };
    if let Ok(x) = X.cast::<PyArray2<f32>>() {
        return on::<Dense<f32>>(py, x.as_any(), request);
    }
    if X.cast::<PyArray2<f64>>().is_ok() {
        return on::<Dense<f64>>(py, X, request);
    }
    let narrow = X.get_item(0)?.cast::<PyArray1<f32>>().is_ok();
    let short = X.get_item(1)?.cast::<PyArray1<i32>>().is_ok();
    match (narrow, short) {
        (true, true) => on::<Sparse<f32, i32>>(py, X, request),
        (true, false) => on::<Sparse<f32, i64>>(py, X, request),
        (false, true) => on::<Sparse<f64, i32>>(py, X, request),
        (false, false) => on::<Sparse<f64, i64>>(py, X, request),
    }
}

fn floats(values: &Bound<PyAny>) -> PyResult<Vec<f64>> {
    let values: PyReadonlyArray1<f64> = values.extract()?;
    Ok(values.as_slice()?.to_vec())
}

fn asked<'a>(config: &Bound<PyAny>, loss: &'a dyn Loss) -> PyResult<Config<'a>> {
    let power = config.getattr("power_t")?.extract()?;
    let rate = match config.getattr("learning_rate")?.extract()? {
        "constant" => Rate::Constant,
        "optimal" => Rate::Optimal,
        "invscaling" => Rate::InvScaling { power },
        "adaptive" => Rate::Adaptive,
        "pa1" => Rate::Pa1,
        "pa2" => Rate::Pa2,
        _ => return Err(bug("learning_rate")),
    };
    Ok(Config {
        loss,
        margin: config.getattr("margin")?.extract()?,
        penalty: Elastic {
            alpha: config.getattr("alpha")?.extract()?,
            l1_ratio: config.getattr("l1_ratio")?.extract()?,
            l2: config.getattr("l2")?.extract()?,
            l1: config.getattr("l1")?.extract()?,
        },
        rate,
        eta0: config.getattr("eta0")?.extract()?,
        fit_intercept: config.getattr("fit_intercept")?.extract()?,
        max_iter: config.getattr("max_iter")?.extract()?,
        tol: config.getattr("tol")?.extract()?,
        patience: config.getattr("patience")?.extract()?,
        seed: config.getattr("seed")?.extract()?,
        average: config.getattr("average")?.extract()?,
        class_weight: config.getattr("class_weight")?.extract()?,
        astray: config.getattr("astray")?.extract()?,
        as_scikit_learn: config.getattr("as_scikit_learn")?.extract()?,
        threads: config.getattr("threads")?.extract()?,
    })
}

/// Runs on rows that lie in such arrays.
fn on<'py, S: Source<'py>>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    request: Request<'_, 'py>,
) -> PyResult<Bound<'py, PyDict>> {
    let own = request.validation.map(|given| given.getattr("X")).transpose()?;
    let other = own.filter(|own| !own.is(request.x)).map(|own| S::new(&own)).transpose()?;
    let source = S::new(x)?;
    let table = source.table()?;
    let y: PyReadonlyArray1<f64> = request.told.getattr("y")?.extract()?;
    let weight: Option<PyReadonlyArray1<f64>> = request.told.getattr("weight")?.extract()?;
    let held: Option<PyReadonlyArray1<bool>> = request.told.getattr("held")?.extract()?;
    let told = Told {
        y: y.as_slice()?,
        weight: weight.as_ref().map_or(Ok(&[][..]), |weight| weight.as_slice())?,
        held: held.as_ref().map_or(Ok(&[][..]), |held| held.as_slice())?,
    };
    let Some(given) = request.validation else {
        return go(py, &table, &told, None, request.config, &request.start, request.observe);
    };
    let other_table = other.as_ref().map(S::table).transpose()?;
    let rows: PyReadonlyArray1<i64> = given.getattr("rows")?.extract()?;
    let rows: Vec<usize> = rows.as_slice()?.iter().map(|&i| Index::place(i)).collect();
    let y: PyReadonlyArray1<f64> = given.getattr("y")?.extract()?;
    let weight: Option<PyReadonlyArray1<f64>> = given.getattr("weight")?.extract()?;
    let validation = Validation {
        table: other_table.as_ref().unwrap_or(&table),
        rows: &rows,
        y: y.as_slice()?,
        weight: weight.as_ref().map_or(Ok(&[][..]), |weight| weight.as_slice())?,
        score: if given.getattr("accuracy")?.extract()? { Score::Accuracy } else { Score::R2 },
    };
    go(py, &table, &told, Some(&validation), request.config, &request.start, request.observe)
}

fn go<'py, B: Stored>(
    py: Python<'py>,
    table: &B,
    told: &Told,
    validation: Option<&Validation<B>>,
    config: Config,
    start: &Iterate,
    observe: Option<&Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let failure = Failure::default();
    let outcome = released(py, &failure, || {
        let mut outside = Outside { callback: observe, progress: None, failure: &failure, d: table.d() };
        online::run(table, told, validation, &config, start.clone(), &mut outside)
    })?;
    let Outcome { end, epochs, best, finite, averaged, astray } = outcome;
    let Iterate { w, mean_w, b, mean_b, t } = end;
    let out = PyDict::new(py);
    out.set_item("coef", w.into_pyarray(py))?;
    out.set_item("intercept", b)?;
    out.set_item("mean_coef", mean_w.into_pyarray(py))?;
    out.set_item("mean_intercept", mean_b)?;
    out.set_item("t", t)?;
    out.set_item("n_iter", epochs.loss.len())?;
    out.set_item("best", best)?;
    out.set_item("finite", finite)?;
    out.set_item("averaged", averaged)?;
    out.set_item("astray", astray.map(|Astray { end, start, zero }| (end, start, zero)))?;
    out.set_item("loss", epochs.loss.into_pyarray(py))?;
    out.set_item("lr", epochs.rate.into_pyarray(py))?;
    out.set_item("seconds", epochs.seconds.into_pyarray(py))?;
    out.set_item("val_score", epochs.score.into_pyarray(py))?;
    Ok(out)
}
