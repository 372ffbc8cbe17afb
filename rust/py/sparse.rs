//! The door for sparse rows: the arrays of a `fastgd._sparse.Csr`, and how they are made.

use numpy::{Element, IntoPyArray, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;

use super::raise;
use crate::data::Standard;
use crate::kernels;
use crate::row::Index;
use crate::sparse::{Own, Places, Sparse, Values, tidy, transposed};

/// One of two types that an array may have.
enum Either<'py, A: Element, B: Element> {
    Short(PyReadonlyArray1<'py, A>),
    Long(PyReadonlyArray1<'py, B>),
}

impl<'py, A: Element, B: Element> Either<'py, A, B> {
    fn new(array: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(match array.cast::<PyArray1<A>>() {
            Ok(array) => Either::Short(array.try_readonly()?),
            Err(_) => Either::Long(array.extract()?),
        })
    }
}

/// The arrays of a `fastgd._sparse.Csr`, borrowed for the length of a call.
pub(super) struct Compressed<'py> {
    data: Either<'py, f32, f64>,
    indices: Either<'py, i32, i64>,
    indptr: Either<'py, i32, i64>,
    d: usize,
}

impl<'py> Compressed<'py> {
    pub(super) fn new(x: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Compressed {
            data: Either::new(&x.getattr("data")?)?,
            indices: Either::new(&x.getattr("indices")?)?,
            indptr: Either::new(&x.getattr("indptr")?)?,
            d: x.getattr("d")?.extract()?,
        })
    }

    /// Calls `work` with the rows in these coordinates.
    pub(super) fn with<T>(&self, standard: Standard, work: impl FnOnce(&Sparse) -> PyResult<T>) -> PyResult<T> {
        let values = match &self.data {
            Either::Short(data) => Values::Narrow(data.as_slice()?),
            Either::Long(data) => Values::Wide(data.as_slice()?),
        };
        let [columns, ends] = [&self.indices, &self.indptr].map(|places| match places {
            Either::Short(places) => places.as_slice().map(Places::Short),
            Either::Long(places) => places.as_slice().map(Places::Long),
        });
        let coordinates = (standard.mean, standard.inverse);
        work(&Sparse::new(values, columns?, ends?, self.d, coordinates).map_err(raise)?)
    }
}

/// (data, indices, indptr)
type Arrays<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The CSR arrays of rows with `d` features each, their columns in order and what repeats summed; None of arrays that
/// are so already. Both index arrays are of one type. With `n` they are those of a CSC matrix of so many rows.
#[pyfunction]
#[pyo3(signature = (data, indices, indptr, d, n=None))]
pub(super) fn compress<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    indices: &Bound<'py, PyAny>,
    indptr: &Bound<'py, PyAny>,
    d: usize,
    n: Option<usize>,
) -> PyResult<Option<Arrays<'py>>> {
    let narrow = data.cast::<PyArray1<f32>>().is_ok();
    let short = indices.cast::<PyArray1<i32>>().is_ok();
    let given = (data, indices, indptr);
    match (narrow, short) {
        (true, true) => of::<f32, i32>(py, given, d, n),
        (true, false) => of::<f32, i64>(py, given, d, n),
        (false, true) => of::<f64, i32>(py, given, d, n),
        (false, false) => of::<f64, i64>(py, given, d, n),
    }
}

fn of<'py, T: kernels::Element + Element, I: Index + Element + TryFrom<usize>>(
    py: Python<'py>,
    (data, indices, indptr): (&Bound<'py, PyAny>, &Bound<'py, PyAny>, &Bound<'py, PyAny>),
    d: usize,
    n: Option<usize>,
) -> PyResult<Option<Arrays<'py>>> {
    let data: PyReadonlyArray1<T> = data.extract()?;
    let indices: PyReadonlyArray1<I> = indices.extract()?;
    let indptr: PyReadonlyArray1<I> = indptr.extract()?;
    let (data, indices, indptr) = (data.as_slice()?, indices.as_slice()?, indptr.as_slice()?);
    let own = py.detach(|| match n {
        None => tidy(data, indices, indptr, d),
        Some(n) => {
            let rows = transposed(data, indices, indptr, n)?;
            Ok(Some(match tidy(&rows.data, &rows.indices, &rows.indptr, d)? {
                Some(merged) => merged,
                None => rows,
            }))
        }
    });
    Ok(own.map_err(raise)?.map(|Own { data, indices, indptr }| {
        (data.into_pyarray(py).into_any(), indices.into_pyarray(py).into_any(), indptr.into_pyarray(py).into_any())
    }))
}
