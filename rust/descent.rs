//! Descent: the same update rules and schedules on any function whose derivative somebody supplies.

use crate::error::Error;
use crate::kernels::norm;
use crate::optimizer::Optimizer;
use crate::schedule::{Schedule, Time};
use crate::stop::Status;

/// A function as its owner gives it: a derivative, and if wanted the value.
pub trait Function {
    /// Writes the gradient at `x` to `grad`.
    ///
    /// # Errors
    /// What the owner's code raises.
    fn gradient(&mut self, x: &[f64], grad: &mut [f64]) -> Result<(), Error>;

    /// The value at `x`, or `None` where none is kept.
    ///
    /// # Errors
    /// What the owner's code raises.
    fn value(&mut self, x: &[f64]) -> Result<Option<f64>, Error>;
}

/// Every position, one after the other in `x`, and the function's values there (empty where none are kept).
#[derive(Debug)]
pub struct Path {
    pub x: Vec<f64>,
    pub fun: Vec<f64>,
    pub steps: u64,
    pub status: Status,
}

/// At most `steps` steps from `x0`; with `tol` until the gradient is no longer than that. Each step is an epoch.
/// What is not finite ends the path as diverged and does not belong to it.
///
/// # Errors
/// What the function raises.
pub fn descend(
    function: &mut dyn Function,
    x0: &[f64],
    optimizer: &mut dyn Optimizer,
    schedule: &dyn Schedule,
    (lr, steps, tol): (f64, u64, Option<f64>),
) -> Result<Path, Error> {
    optimizer.init(x0);
    let mut x = x0.to_vec();
    let mut grad = vec![0.0; x.len()];
    let mut path = Path { x: x0.to_vec(), fun: Vec::new(), steps: 0, status: Status::MaxEpochs };
    path.fun.extend(function.value(&x)?);
    if path.fun.iter().any(|fun| !fun.is_finite()) {
        path.status = Status::Diverged;
        return Ok(path);
    }
    while path.steps < steps || tol.is_some() {
        function.gradient(optimizer.look_ahead().unwrap_or(&x), &mut grad)?;
        if tol.is_some_and(|tol| norm(grad.iter().copied()) <= tol) {
            path.status = Status::Converged;
            break;
        }
        if path.steps == steps {
            break;
        }
        let time = Time { k: path.steps + 1, finished: path.steps, last: steps };
        optimizer.step(&mut x, &grad, schedule.rate(lr, time));
        optimizer.settle(&x);
        if x.iter().any(|x| !x.is_finite()) {
            path.status = Status::Diverged;
            break;
        }
        let fun = function.value(&x)?;
        if fun.is_some_and(|fun| !fun.is_finite()) {
            path.status = Status::Diverged;
            break;
        }
        let bytes = 8 * (path.x.len() + x.len());
        path.x.try_reserve(x.len()).map_err(|_| Error::Memory { what: "the path", bytes })?;
        path.x.extend_from_slice(&x);
        path.fun.extend(fun);
        path.steps += 1;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{optimizer::optimizer, schedule::schedule};

    /// x^2 and its derivative
    struct Parabola;

    impl Function for Parabola {
        fn gradient(&mut self, x: &[f64], grad: &mut [f64]) -> Result<(), Error> {
            grad[0] = 2.0 * x[0];
            Ok(())
        }

        fn value(&mut self, x: &[f64]) -> Result<Option<f64>, Error> {
            Ok(Some(x[0] * x[0]))
        }
    }

    fn run(x0: f64, lr: f64, steps: u64, tol: Option<f64>) -> Path {
        let ((mut rule, _), constant) = (optimizer("sgd", &[]).unwrap(), schedule("constant", &[]).unwrap());
        descend(&mut Parabola, &[x0], &mut *rule, &*constant, (lr, steps, tol)).unwrap()
    }

    #[test]
    fn parabola_by_hand() {
        let path = run(-5.0, 0.3, 5, None);
        for (x, expected) in path.x.iter().zip([-5.0, -2.0, -0.8, -0.32, -0.128, -0.0512]) {
            assert!((x - expected).abs() <= 1e-15);
        }
        assert_eq!((path.x.len(), path.fun.len(), path.steps, path.status), (6, 6, 5, Status::MaxEpochs));
        assert_eq!(run(5.0, 1.0, 4, None).x, [5.0, -5.0, 5.0, -5.0, 5.0]);
    }

    #[test]
    fn ends_where_it_should() {
        let converged = run(5.0, 0.5, 10, Some(1e-9));
        assert_eq!((converged.x, converged.status), (vec![5.0, 0.0], Status::Converged));
        assert_eq!(run(5.0, 0.5, 1, Some(1e-9)).status, Status::Converged);
        let diverged = run(5.0, 1e200, 10, None);
        assert_eq!((diverged.x.len(), diverged.status), (1, Status::Diverged));
    }
}
