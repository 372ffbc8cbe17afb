"""Check: how far a result is from the minimum, and how long the rest would take."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core, _door
from fastgd._advice import count, numbered
from fastgd._curvature import NOTHING, Bowl, Modes, is_wide, modes
from fastgd._diagnose import SMALL, epochs_by, noise_of
from fastgd._door import Array
from fastgd._html import table
from fastgd._parts import loss_and_gradient
from fastgd._request import Problem, classes_of, facts_of, make_loss, make_problem, make_threads, with_classes
from fastgd._sparse import Csr
from fastgd._standard import Frame
from fastgd._statistics import Statistics

#: what is so small beside the targets is 0 but for rounding
_NOTHING = 1e-13

if TYPE_CHECKING:
    from fastgd.result import FitResult


@dataclass(frozen=True, eq=False, repr=False)
class Check:
    """How far a result is from the minimum of its own objective on some rows.

    Attributes
    ----------
    coef_error : float
        Distance of `coef` to that of the nearest minimum, Euclidean and in the user's units, relative to the length of
        the latter; of K outputs over all of them. Nearest is measured in the coordinates that were iterated on, which
        matters only where many coefficients reach the minimum.
    intercept_error : float
        Likewise `|intercept - that of this minimum| / |that|`; 0 without an intercept.
    excess_loss : float
        (f - f*) / f*, f being the objective at the result and f* its minimum; where f* is 0 within rounding, that is at
        most 2.2e-16 times f(0), the objective at zero coefficients, (f - f*) / (f(0) - f*). As in `Diagnosis.epochs`.
    grad_norm : float
        Of the objective at the result, Euclidean, intercept included, in iterated coordinates; with l1 of the shortest
        subgradient.
    condition : float
        L / mu, the condition number of the objective's Hessian in iterated coordinates, as in `Diagnosis`.
    epochs_needed : float
        Further epochs by this run's rule, begun afresh at its latest rate, until `excess_loss` is at most 1e-6: 0 if it
        is, infinity if it never will be, NaN where it cannot be told.
    epochs_is : {"exact", "estimate", "bound", "none"}
        What `epochs_needed` is, as in `Diagnosis`; a bound from below in batches and against an estimate.
    against : {"closed form", "estimate", "certificate"}
        "closed form": the exact minimum, for squared losses without l1. "estimate" likewise, by some sixty passes of
        Lanczos's method, where more than 512 rows have more than 512 features (with l2 any number of rows): what
        these do not see is missing, so `excess_loss`, `condition` and `epochs_needed` are at least so much, and the
        errors of the coefficients are NaN. "certificate":
        upper bounds from the gradient g alone, `f - f* <= |g|^2 / (2 mu)` and `|w - w*| <= |g| / mu`, NaN where the
        smallest curvature mu may be 0.
    advice : tuple of str
        What follows from it.
    """

    coef_error: float
    intercept_error: float
    excess_loss: float
    grad_norm: float
    condition: float
    epochs_needed: float
    epochs_is: str
    against: str
    advice: tuple[str, ...]
    #: whether there is an intercept
    fit_intercept: bool

    def _rows(self) -> list[tuple[str, str]]:
        least = "at least " if self.against == "estimate" else ""
        most = "at most " if self.against == "certificate" else least

        def told(value: float, what: str) -> str:
            if np.isnan(value):
                return "not to be told"
            if value == np.inf:
                return f"{what}, which is 0" if self.against != "certificate" else "not to be told"
            return f"{most}{f'{100 * value:.3g} %' if 1e-4 < value < np.inf else f'{value:.2g}'} {what}"

        further = "not to be told"
        if self.epochs_needed == np.inf:
            further = "never to a loss within a millionth of the minimum"
        elif not np.isnan(self.epochs_needed):
            lead = "at least " if self.epochs_is == "bound" else ""
            further = f"{lead}{count(self.epochs_needed)} to a loss within a millionth of the minimum"
        b = [("intercept", told(self.intercept_error, "of its size off"))] if self.fit_intercept else []
        return [
            ("coef", told(self.coef_error, "of its length off")),
            *b,
            ("loss", told(self.excess_loss, "above the minimum")),
            ("gradient", "not to be told" if np.isnan(self.grad_norm) else f"{self.grad_norm:.3g} long"),
            ("condition", "not to be told" if np.isnan(self.condition) else f"{least}{numbered(self.condition)}"),
            ("further", further),
        ]

    def _title(self) -> str:
        return f"Check against the {self.against}" if self.against != "estimate" else "Check against an estimate"

    def __repr__(self) -> str:
        lines = [self._title(), *(f"  {name:<10} {text}" for name, text in self._rows())]
        for sentence in self.advice:
            lines += textwrap.wrap(sentence, 98, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return table(self._title(), self._rows(), " ".join(self.advice))


@np.errstate(all="ignore")
def check(result: FitResult, X: Any, y: Any, sample_weight: Any = None) -> Check:
    """`FitResult.check`."""
    problem = _rows_of(result, X, y, sample_weight)
    options = result.options
    facts = facts_of(options["loss"][0])
    l1, l2, intercept = options["l1"], options["l2"], options["fit_intercept"]
    K, d = problem.outputs, problem.X.shape[1]
    weight = len(problem.X) if problem.sample_weight is None else float(problem.sample_weight.sum())
    whole = (facts["curvature"] or 1.0) * (weight if facts["reduction"] == "sum" else 1.0)
    bowl = Bowl(whole, l2, intercept, result.standardized, make_threads(None, problem.X.size))
    at = result.coef.reshape(K, d), np.reshape(np.asarray(result.intercept, np.float64), K)
    statistics = None if is_wide(problem, l2) else Statistics.of(problem, threads=bowl.threads)
    found = modes(problem, bowl, statistics, None if problem.classes else at)
    condition = np.nan if facts["curvature"] is None else found.condition
    if not facts["squared"] or l1 or options.get("positive"):
        excess, of_coef, of_intercept, norm = _certified(result, problem, found, X, y, sample_weight)
        against = "certificate"
        needed, told = (0.0, "exact") if excess <= SMALL else (np.nan, "none")
    else:
        against, norm = "closed form" if found.exact else "estimate", float(np.linalg.norm(found.grad))
        excess = _share(float(found.excess.sum()), found.yardstick)
        at_start = found.least + float(found.excess.sum())  # of which the distances' rounding is a part
        of_coef, of_intercept = _errors(found, at, np.sqrt(2 * max(found.zero, at_start) / whole), intercept=intercept)
        needed, told = _further(result, found, len(problem.X), whole, summed=facts["reduction"] == "sum")
    return Check(
        coef_error=of_coef,
        intercept_error=of_intercept,
        excess_loss=excess,
        grad_norm=norm,
        condition=condition,
        epochs_needed=needed,
        epochs_is=told,
        against=against,
        advice=tuple(_advice(result, problem, excess, needed, against, _last_rate(result, len(problem.X)))),
        fit_intercept=intercept,
    )


def _rows_of(result: FitResult, X: Any, y: Any, sample_weight: Any) -> Problem:
    """The rows, checked as `predict` does, and the targets."""
    problem = make_problem(X, y, sample_weight)
    d = result.coef.shape[-1]
    if problem.X.shape[1] != d:
        raise ValueError(f"X must have {d} features as in the fit, got {problem.X.shape[1]}")
    _door.same_columns(X, result.features)
    loss = make_loss(result.options["loss"], problem.y, classes=classes_of(result.coef))
    problem = with_classes(problem, loss, result.coef)
    if problem.classes and problem.classes > len(result.coef):
        raise ValueError(f"y must be classes of the fit, 0 to {len(result.coef) - 1}, got {problem.classes - 1}")
    if problem.single != (result.coef.ndim == 1) or (not problem.single and problem.outputs != len(result.coef)):
        shape = "(n,)" if result.coef.ndim == 1 else f"(n, {len(result.coef)})"
        given = "(n,)" if problem.single else f"(n, {problem.y.shape[1]})"
        raise ValueError(f"y must be {shape} as in the fit, got {given}")
    return replace(problem, names=result.features or problem.names)


def _share(excess: float, yardstick: float) -> float:
    return excess / yardstick if yardstick else (0.0 if excess == 0 else np.inf)


def _errors(found: Modes, at: tuple[Array, Array], size: float, *, intercept: bool) -> tuple[float, float]:
    """Of coefficients and intercepts, relative to those of the nearest minimum.

    What makes no difference beside targets of this size is 0, and nothing is relative to that.
    """
    if found.away is None:
        return np.nan, np.nan
    coef, b = at
    K, d = coef.shape
    frame = found.frame or Frame(np.zeros(d), np.ones(d))
    w, v = found.away[:, :d] / frame.scale, found.away[:, d] if intercept else np.zeros(K)
    v = v - w @ frame.mean
    least = _NOTHING * size
    of_intercept = _relative(v, b - v, least) if intercept else 0.0
    effect = frame.scale * np.sqrt(
        found.squares
    )  # of a coefficient on the predictions; a penalty makes it small rightly
    length = float(np.linalg.norm((coef - w) * effect))
    gone = length <= least and not found.ridge.any()
    return _relative(w, coef - w, float(np.linalg.norm(coef - w)) if gone else 0.0), of_intercept


def _relative(away: Array, truth: Array, least: float) -> float:
    """The one's length over the other's; up to `least` both are 0."""
    length, size = float(np.linalg.norm(away)), float(np.linalg.norm(truth))
    if size > least:
        return length / size
    return 0.0 if length <= least else np.nan


def _further(result: FitResult, found: Modes, n: int, whole: float, *, summed: bool) -> tuple[float, str]:
    """Epochs from here by the same rule, at the rate of the last step, and what that number is."""
    if found.excess.sum() <= SMALL * found.yardstick:
        return 0.0, "exact" if found.exact else "bound"
    lr = _last_rate(result, n)
    if not lr > 0:
        return np.nan, "none"
    size = result.options.get("batch_size")
    if size is not None and size < n and found.least > NOTHING * found.zero:
        constant = result.options.get("schedule", ("constant", {}))[0] == "constant"
        trace = whole * (float(found.squares.sum()) + result.options["fit_intercept"]) * (size / n if summed else 1.0)
        if constant and noise_of(result.options.get("optimizer", (result.optimizer, {})), size, lr, trace) > SMALL:
            return np.nan, "none"
    rule = result.options.get("optimizer", (result.optimizer, {}))
    return epochs_by(found, rule, None if size is None or size >= n else size, n, lr, summed=summed)


def _last_rate(result: FitResult, n: int) -> float:
    """That of the last step, by the schedule where it was not recorded."""
    history, schedule = result.history, result.options.get("schedule", ("constant", {}))
    if len(history.lr) and history.step[-1] == result.n_steps:
        return float(history.lr[-1])
    if schedule[0] == "constant" or not result.n_steps:
        return result.lr
    steps = -(-n // (result.options["batch_size"] or n))  # of an epoch
    finished = (result.n_steps - 1) // steps
    return _core.rate(schedule, result.lr, result.n_steps, finished, result.options["epochs"] * steps)


def _certified(
    result: FitResult, problem: Problem, found: Modes, X: Any, y: Any, sample_weight: Any
) -> tuple[float, float, float, float]:
    """Bounds on the excess loss and the errors of coefficients and intercept; the gradient's length."""
    options, K, d = result.options, problem.outputs, problem.X.shape[1]
    given = {"loss": options["loss"], "l2": options["l2"], "sample_weight": sample_weight}
    value, grad, of_b = loss_and_gradient(X, y, result.coef, result.intercept, **given)
    grad, of_b = np.reshape(grad, (K, d)), np.reshape(np.asarray(of_b, np.float64), (K, 1))
    coef, b = result.coef.reshape(K, d), np.reshape(np.asarray(result.intercept, np.float64), K)
    frame = found.frame or Frame(np.zeros(d), np.ones(d))
    if options["fit_intercept"]:
        grad = grad - of_b * frame.mean
    grad = grad / frame.scale
    l1, positive = options["l1"], options.get("positive", False)
    if l1 or positive:
        value += l1 * float(np.abs(coef).sum())
        most = l1 / frame.scale
        shrunk = np.sign(grad) * np.maximum(np.abs(grad) - most, 0.0)
        at_zero = np.minimum(grad + most, 0.0) if positive else shrunk
        grad = np.where(coef == 0, at_zero, grad + np.sign(coef) * most)
    if options["fit_intercept"]:
        grad = np.hstack([grad, of_b])
    norm, smallest = float(np.linalg.norm(grad)), _least_curvature(result, problem, found)
    if not smallest > 0:
        return (np.nan if norm > 0 else 0.0), np.nan, np.nan, norm
    above, far = norm**2 / (2 * smallest), norm / smallest
    # f* >= f - above: so the share is at most that
    of_zero, _, _ = loss_and_gradient(X, y, np.zeros_like(result.coef), 0.0, **given)
    least, nothing = value - above, NOTHING * of_zero
    share = _share(above, of_zero) if value <= nothing else above / least if least > nothing else np.inf
    # of v = scale w the distance is at most `far`
    in_w = far / float(frame.scale.min())
    in_b = far * float(np.sqrt(1 + ((frame.mean / frame.scale) ** 2).sum()))
    length = float(np.linalg.norm(coef))
    of_coef = _share(in_w, max(length - in_w, 0.0))
    of_b_error = _share(in_b, max(float(np.linalg.norm(b)) - in_b, 0.0)) if options["fit_intercept"] else 0.0
    return share, of_coef, of_b_error, norm


def _least_curvature(result: FitResult, problem: Problem, found: Modes) -> float:
    """What the objective curves everywhere and in every direction; 0 if that is not sure."""
    squared = facts_of(result.options["loss"][0])["squared"]
    columns = problem.X.shape[1] + result.options["fit_intercept"]
    if squared and found.exact and len(found.values) == columns:
        return found.smallest
    if result.options["fit_intercept"] or not result.options["l2"]:
        return 0.0
    scale = 1.0 if found.frame is None else found.frame.scale
    return float(np.min(result.options["l2"] / np.square(scale)))


def _advice(result: FitResult, problem: Problem, excess: float, needed: float, against: str, lr: float) -> list[str]:
    """What to do, and which solver is made for such a problem."""
    n, d = problem.X.shape
    facts, options = facts_of(result.options["loss"][0]), result.options
    done = excess <= SMALL
    said = []
    rate = f"At lr={lr:g}" + (", where the schedule ended," if lr != result.lr else "")
    if done and against == "estimate":
        said.append(
            "Some sixty passes see nothing that is left to do; directions that hardly curve they do not see, and these "
            "may hold more."
        )
    elif done:
        said.append("Nothing is left to do: the loss is within a millionth of the minimum.")
    elif needed == np.inf and result.engine != "closed_form":
        said.append(f"{rate} it never gets there: fastgd.diagnose with this run's options says why.")
    elif needed > 1000:
        said.append(f"{rate} that is long: fastgd.diagnose with this run's options says why.")
    if facts["squared"] and np.isnan(excess) and against != "certificate":
        return ["X or y hold numbers that are too large to be squared: divide them by their size first."]
    if not facts["squared"]:
        if not facts["smooth"]:
            said.append(
                "No gradient certifies a minimum where the loss has kinks. Up to some thousand rows a linear "
                "programme (scipy.optimize.linprog) is exact."
            )
        elif against == "certificate" and np.isnan(excess):
            said.append(
                "Without l2 on all coefficients, intercept included, this loss may be flat somewhere, and its gradient "
                "bounds nothing; where it is short beside that at the start, the run is near the end."
            )
        return said
    if options["l1"] or options.get("positive"):
        if np.isnan(excess):
            said.append("The rows leave a direction without curvature, so the gradient bounds nothing.")
        elif not options["l1"]:
            said.append("Up to some thousand features an active set (scipy.optimize.nnls) is exact.")
    if options["l1"]:
        said.append("For l1 on many features coordinate descent (scikit-learn's Lasso, skglm) is faster.")
    elif isinstance(problem.X, Csr) and problem.X.is_large:
        pass  # what would be faster fills in
    elif not done and n < 4 * d and min(n, d) > 64:
        said.append("With so few rows for the features LAPACK's least squares, fastgd.closed_form, is faster.")
    elif not done and result.engine == "rows":
        said.append(
            "Faster: fastgd.fit without a rate and epochs needs one pass over the rows and ends at the minimum."
        )
    return said
