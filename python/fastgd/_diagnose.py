"""Diagnose: what a rate will do, before it is run; and which features make it so."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgd import _core, _door
from fastgd._advice import ILL, Asked, Look, advise, count, numbered
from fastgd._auto import bend_of, bent, largest_target, of_rule
from fastgd._curvature import NOTHING, Bowl, Modes, is_wide, modes
from fastgd._door import Array
from fastgd._forecast import steps_to
from fastgd._html import table
from fastgd._request import Problem, check_use, facts_of, make_loss, make_problem, make_threads
from fastgd._statistics import Statistics
from fastgd.insight import Stable, batch_spread, stability

#: to so small an excess loss, relative as in `Diagnosis`, epochs are counted
SMALL = 1e-6
#: a rate above so much of the largest stable one oscillates
_SWINGS = 0.75
#: noise of batches that is too much, relative to the minimum
_LOUD = 0.01
#: a rate is beyond a bound if by more than rounding
_ROUNDING = 1e-9
#: more epochs than that, or so much less than the automatic rate, is a crawl
_LONG, _SLOW = 1000, 10.0
#: what the scale of a column may do without being told
_HARMLESS = 10.0


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """What a rate does to a problem, and why.

    All curvatures are of the objective's Hessian in the coordinates that are iterated on, penalty and intercept
    included.

    Attributes
    ----------
    L, mu : float
        The largest curvature, and the smallest that is not 0 within rounding. Of a smooth loss that is not squared,
        those that there would be if every row bent as much as the loss can: L is then a bound. NaN for losses
        whose curvature has none: those with kinks, and poisson.
    condition : float
        L / mu.
    condition_is : {"exact", "bound", "none"}
        "bound": at least so much, mu being at most what is told, where more than 512 rows (with l2 any number) have
        more than 512 features, and some sixty passes of Lanczos's method are all that is seen. "none": NaN.
    lr_max : float
        The largest stable rate.
    lr_max_is : {"exact", "estimate", "bound", "none"}
        "exact" full batch on a squared loss: sgd 2/L, momentum 2(1+beta)/L, nesterov 2(1+beta)/((1+2 beta)L); implicit
        steps are stable at any rate. "bound": smaller rates are stable, larger ones may be: the accelerated rule (1/L);
        other smooth losses (sgd 2/L, momentum 2(1-beta)/L, nesterov 1/L); and sgd in batches of B rows,
        2/((1 - 1/B) L + s/B), with l2 2/(L + s/B), where the mean square of the distance to the minimum contracts if
        batches are drawn at random. s is the least number for which the mean of H_i^2 is at most s H, H_i being the
        Hessian of a row and H their mean: tr + 2L for Gaussian rows, tr being H's trace, and more for heavy tails.
        Beyond 128 features, and for losses that are not squared, the largest curvature of a row stands for s.
        "estimate": with momentum in batches 1 - beta times that; and the above with an L that is known to a few digits,
        where more than 512 rows have more than 512 features. "none": `lr_max` is NaN, as for losses with kinks and for
        adagrad, rmsprop and adam, whose steps do not grow with the gradient.
    lr_auto : float
        What `fastgd.fit` takes for `lr="auto"` with the same rule, batches and coordinates.
    lr : float or None
        The rate that was asked about.
    epochs : float
        At `lr`, or without it at `lr_auto`, and from zero coefficients: the first epoch after which the excess loss
        (f - f*) / f* is at most 1e-6, f being the objective and f* its minimum. Where f* is 0 within rounding, that is
        at most 2.2e-16 times f(0), the objective at zero coefficients, it is (f - f*) / (f(0) - f*). Infinite where
        that is never reached.
    epochs_is : {"exact", "estimate", "bound", "none"}
        "exact" full batch on a squared loss with sgd, momentum, nesterov and accelerated, but for the rounding of a
        run's own numbers; "estimate" beyond 100,000 accelerated steps, of many features fewer; "bound", at least so
        many, where `condition_is` is a bound, and for squared losses in batches, half of what the mean path takes;
        "none": NaN, as in batches whose noise keeps the loss about lr tr f* / (2 B) above f*, if that is more.
    verdict : {"diverges", "oscillates", "crawls", "good"} or None
        On `lr`. "diverges": at or beyond `lr_max` where that is no mere bound; accelerated steps where they are known
        to grow. "oscillates": beyond 0.75 `lr_max`, where along the stiffest direction more than half of each step is
        taken back by the next; beyond a `lr_max` that is a bound, or about one in batches, where steps may diverge;
        beyond twice `lr_auto` where the noise of batches keeps the loss more than 1 % above the minimum.
        "crawls": more than 1000 epochs, or less than a tenth of `lr_auto`. "good": all else. None without `lr`, and
        where `lr_max_is` is "none".
    features : tuple of int, or of str where X was a table with names
        The columns of X, ordered by the harm that their scale does.
    harm : ndarray, shape (d,)
        In the same order: the condition number of the column alone with the intercept, so 1 is none. Without an
        intercept how many times its mean square (or the other way round) is that of the geometric mean of all.
    advice : tuple of str
        What to do and why, in the order in which one would do it.
    """

    L: float
    mu: float
    condition: float
    condition_is: str
    lr_max: float
    lr_max_is: str
    lr_auto: float
    lr: float | None
    epochs: float
    epochs_is: str
    verdict: str | None
    features: tuple[int | str, ...]
    harm: Array
    advice: tuple[str, ...]
    #: the rule and its batches, in words
    by: str

    def _rows(self) -> list[tuple[str, str]]:
        if self.condition == self.condition:
            bent = f"{numbered(self.condition)} (L {self.L:.6g}, mu {self.mu:.6g})"
            if self.condition_is == "bound":
                bent = f"at least {numbered(self.condition)} (L about {self.L:.6g}, mu at most {self.mu:.6g})"
        else:
            bent = "not to be told"
        said = {"exact": "stable below {:.6g}", "estimate": "stable below about {:.6g}", "bound": "sure below {:.6g}"}
        stable = said.get(self.lr_max_is, "no limit to tell").format(self.lr_max)
        if self.lr_max == np.inf:
            stable = "any rate is stable"
        rate = self.lr_auto if self.lr is None else self.lr
        at_least = "at least " if self.epochs_is == "bound" else ""
        number = count(self.epochs).replace(" epochs", "").replace(" epoch", "")
        epochs = "not to be told" if self.epochs_is == "none" else f"{at_least}{number} at lr={rate:.6g}"
        if self.verdict == "diverges" and self.epochs == np.inf:
            epochs = f"never at lr={rate:.6g}"
        guilty = [
            f"{name if isinstance(name, str) else f'column {name}'} ({numbered(harm)} alone)"
            for name, harm in zip(self.features, self.harm, strict=True)
            if harm > _HARMLESS
        ]
        blamed = "no column's scale" if np.isfinite(self.harm).all() else "not to be told"
        scales = ", ".join(guilty[:3]) + (f" and {len(guilty) - 3} more" if len(guilty) > 3 else "")
        return [
            ("by", self.by),
            ("condition", bent),
            ("rate", f"{stable}, automatic {self.lr_auto:.6g}"),
            ("epochs", epochs),
            ("to blame", scales if np.isfinite(self.harm).all() and scales else blamed),
        ]

    def _title(self) -> str:
        if self.verdict is None:
            return "Diagnosis" if self.lr is None else f"Diagnosis: no verdict on lr={self.lr:g}"
        return f"Diagnosis: lr={self.lr:g} {'is good' if self.verdict == 'good' else self.verdict}"

    def __repr__(self) -> str:
        lines = [self._title()]
        for name, text in self._rows():
            lines += textwrap.wrap(text, 98, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13)
        for at, sentence in enumerate(self.advice, 1):
            lines += textwrap.wrap(sentence, 98, initial_indent=f"{at:3}. ", subsequent_indent="     ")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        advice = [(f"{at}.", sentence) for at, sentence in enumerate(self.advice, 1)]
        return table(self._title(), [*self._rows(), *advice])


@np.errstate(all="ignore")
def diagnose(
    X: Any,
    y: Any,
    *,
    lr: float | None = None,
    batch_size: int | None = None,
    loss: str | tuple[str, dict[str, float]] = "mse",
    optimizer: str | tuple[str, dict[str, float]] = "sgd",
    l2: float = 0.0,
    fit_intercept: bool = True,
    sample_weight: Any = None,
    standardize: bool = False,
) -> Diagnosis:
    """What gradient descent will do on a problem: which rates are stable, how long it takes, whose fault that is.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
    y : array-like, shape (n,) or (n, K)
    lr : float, optional
        A rate to be judged.
    batch_size, loss, optimizer, l2, fit_intercept, sample_weight
        As in `fastgd.fit`; a rate only means something together with them.
    standardize : bool, default False
        Whether the rate is meant for centred and scaled features.

    Returns
    -------
    Diagnosis

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.

    Notes
    -----
    One pass reduces the rows to sufficient statistics. Singular values of these are the Hessian's curvatures, and along
    each of its eigenvectors a full-batch rule is a recurrence of one number, which tells its epochs without running
    them (Polyak, "Introduction to Optimization", 1987, section 2.1.2; O'Donoghue and Candes, "Adaptive Restart for
    Accelerated Gradient Schemes", 2015). That costs n d^2 + d^3 as `fastgd.fit` without options does; where more than
    512 rows have more than 512 features some sixty passes by Lanczos's method bound the same.

    Examples
    --------
    >>> import fastgd
    >>> x, y = fastgd.datasets.load_points()
    >>> found = fastgd.diagnose(x, y, lr=1e-4)
    >>> print(f"{found.verdict}: condition number {found.condition:,.0f}, stable below {found.lr_max:.6g}")
    crawls: condition number 66,031, stable below 0.000401296
    """
    problem = make_problem(X, y, sample_weight)
    n = len(problem.X)
    if batch_size is not None:
        batch_size = _door.integer(batch_size, "batch_size")
        batch_size = None if batch_size >= n else batch_size
    name, _ = make_loss(loss, problem.y)
    optimizer = _core.choose("optimizer", *_door.choice(optimizer, "optimizer"))
    asked = Asked(
        problem=problem,
        loss=name,
        facts=facts_of(name),
        optimizer=optimizer,
        implicit=check_use(optimizer[0], name, batch_size, n) is not None,
        batch_size=batch_size,
        lr=None if lr is None else _door.positive(lr, "lr"),
        l2=_door.non_negative(l2, "l2"),
        intercept=_door.flag(fit_intercept, "fit_intercept"),
        standardize=_door.flag(standardize, "standardize"),
    )
    look = _look(asked)
    found, order, names = look.found, look.order, problem.names
    size = "full batch" if batch_size is None else "single rows" if batch_size == 1 else f"batches of {batch_size} rows"
    bends = found.known and not asked.kinked
    return Diagnosis(
        L=found.largest if bends else np.nan,
        mu=found.smallest if bends else np.nan,
        condition=found.condition if bends else np.nan,
        condition_is="none" if not bends else "exact" if found.exact else "bound",
        lr_max=look.stable.limit,
        lr_max_is=look.stable.kind,
        lr_auto=look.lr_auto,
        lr=asked.lr,
        epochs=look.epochs,
        epochs_is=look.epochs_is,
        verdict=look.verdict,
        features=tuple(int(j) if names is None else names[j] for j in order),
        harm=look.harm[order],
        advice=tuple(advise(look)),
        by=f"{optimizer[0]}, {size}, {name}{', standardised' if asked.standardize else ''}",
    )


def _look(asked: Asked) -> Look:
    """Everything that is found out."""
    problem, facts, share, B = asked.problem, asked.facts, asked.share, asked.batch_size
    n, threads = len(problem.X), make_threads(None, problem.X.size)
    weight = n if problem.sample_weight is None else float(problem.sample_weight.sum())
    curved = _bend(problem, asked.loss, B) if asked.kinked else facts["curvature"]
    bowl = Bowl(
        whole=curved * (weight if facts["reduction"] == "sum" else 1.0),
        l2=asked.l2,
        fit_intercept=asked.intercept,
        standardize=asked.standardize,
        threads=threads,
    )
    statistics = None if is_wide(problem, asked.l2) else Statistics.of(problem, threads=threads)
    found, other = modes(problem, bowl, statistics), None
    hard = found.condition > ILL or len(found.values) < found.grad.shape[1]
    if statistics is not None and not asked.standardize and found.known and hard:
        other = modes(problem, replace(bowl, standardize=True), statistics)

    # of the rows of a step, which are all rows or so many as make a batch
    of_l2 = float(found.ridge.max()) * bowl.whole
    largest = found.largest * share + (of_l2 if share < 1 else 0.0)
    trace = share * bowl.whole * (float(found.squares.sum()) + asked.intercept)
    smooth = found.known and not asked.kinked
    spread = share * _spread(asked, found, bowl) if B is not None and smooth else np.nan
    stable = stability(
        asked.optimizer,
        B,
        squared=facts["squared"],
        largest=largest if smooth else np.nan,
        spread=spread,
        l2=bool(asked.l2),
    )
    if not (found.exact or asked.implicit) and (stable.kind == "exact" or (stable.kind == "bound" and B is not None)):
        stable = stable._replace(kind="estimate")
    bend = largest
    if B is not None or not facts["squared"]:
        bend = bent(B, asked.implicit, largest=share * found.bare, trace=trace) + of_l2
    lr_auto = of_rule(1 / bend if 0 < bend < np.inf else 1.0, *asked.optimizer)

    noise = 0.0
    if B is not None and facts["squared"] and found.known and found.least > NOTHING * found.zero:
        noise = noise_of(asked.optimizer, B, lr_auto if asked.lr is None else asked.lr, trace, stable.limit)

    def epochs(found: Modes, B: int | None, lr: float) -> tuple[float, str]:
        if not facts["squared"] or noise > SMALL:
            return np.nan, "none"
        return epochs_by(found, asked.optimizer, B, n, lr, summed=facts["reduction"] == "sum")

    def elsewhere(other: Modes) -> tuple[float, float]:
        lr = of_rule(1 / other.largest if other.largest else 1.0, *asked.optimizer)
        return lr, epochs(other, None, lr)[0]

    takes, told = epochs(found, B, lr_auto if asked.lr is None else asked.lr)
    order, harm = _harm(found, intercept=asked.intercept)
    # of rows that may curve less a bound is no evidence against the rate that is made for them
    sure = stable.limit if facts["squared"] else max(stable.limit, lr_auto)
    return Look(
        asked=asked,
        found=found,
        other=other,
        statistics=statistics,
        whole=bowl.whole,
        largest=largest,
        trace=trace,
        stable=stable,
        sure=sure,
        lr_auto=lr_auto,
        epochs=takes,
        epochs_is=told,
        noise=noise,
        verdict=None if asked.lr is None else _verdict(asked, stable, sure, lr_auto, takes, told, noise),
        order=order,
        harm=harm,
        elsewhere=elsewhere,
    )


def _bend(problem: Problem, loss: str, batch_size: int | None) -> float:
    """What stands for the curvature of a loss that has no bound on it, at zero coefficients, as in `fit`."""
    if facts_of(loss)["smooth"]:
        return largest_target(problem.y)
    return bend_of(float(np.average(np.abs(problem.y).mean(axis=1), weights=problem.sample_weight)), batch_size)


def noise_of(
    optimizer: tuple[str, dict[str, float]], batch_size: int, lr: float, trace: float, limit: float = np.inf
) -> float:
    """About how far above the minimum batches keep a squared loss at a constant rate, relative to it.

    Independent draws of B rows about the minimum have gradients of covariance c^2 r^2 H / B, r^2 being the mean square
    residual, so the distances have lr c r^2 / (2 B) times the identity: an excess of lr tr f* / (2 B). Rows that come
    in turn are quieter, rates near the largest stable one, `limit`, by 1 / (1 - lr / limit) louder. Steps with momentum
    are 1 / (1 - beta) as long; implicit ones on a row have rate lr / (1 + lr tr) of a limit of about 2 / tr.
    """
    name, parameters = optimizer
    if name not in ("sgd", "momentum", "nesterov", "implicit"):
        return 0.0
    a = lr / (1 - parameters.get("beta", 0.0)) * trace
    if name == "implicit":
        a = a / (1 + a) if a < np.inf else 1.0
        return a / (2 - a)
    return a / (2 * batch_size) / (1 - lr / limit if lr < limit else 1.0)


def epochs_by(
    found: Modes,
    optimizer: tuple[str, dict[str, float]],
    batch_size: int | None,
    n: int,
    lr: float,
    *,
    summed: bool,
) -> tuple[float, str]:
    """Epochs of a squared loss from the start to `SMALL`, and what that number is; `summed`: over rows."""
    (name, parameters), B = optimizer, batch_size
    small = SMALL * found.yardstick
    if found.zero != found.zero:
        return np.nan, "none"
    if B is None and name in ("sgd", "momentum", "nesterov", "accelerated"):
        steps, exact = steps_to(small, found.values, found.excess, name, parameters, lr)
        return steps, "bound" if not found.exact else "exact" if exact else "estimate"
    if B is None or name not in ("sgd", "momentum", "nesterov", "implicit") or (summed and found.ridge.any()):
        return np.nan, "none"
    # the mean path is that of full-batch steps; a few rows may by their order be faster, but hardly twice
    values = found.values * (B / n if summed else 1.0)
    gentle = (1 - parameters.get("beta", 0.0)) / values[0] if len(values) else lr
    rule = "sgd" if name == "implicit" else name
    steps, _ = steps_to(small, values, found.excess, rule, parameters, min(lr, gentle))
    return float(np.ceil(steps / 2 / np.ceil(n / B))), "bound"


def _spread(asked: Asked, found: Modes, bowl: Bowl) -> float:
    """`batch_spread`, of a squared loss by its modes, of another by its largest row."""
    rows = replace(asked.problem, frame=found.frame)
    vectors = found.vectors if asked.facts["squared"] else None
    return batch_spread(rows, found.values, vectors, whole=bowl.whole, intercept=asked.intercept)


def _verdict(
    asked: Asked, stable: Stable, sure: float, lr_auto: float, epochs: float, told: str, noise: float
) -> str | None:
    lr = asked.lr
    assert lr is not None
    if stable.kind == "none":
        return None
    if stable.kind == "bound" or asked.batch_size is not None:  # beyond it anything may happen
        if epochs == np.inf and told == "exact":
            return "diverges"
        if lr > sure * (1 + _ROUNDING):
            return "oscillates"
    elif lr >= stable.limit:
        return "diverges"
    elif lr > _SWINGS * stable.limit:
        return "oscillates"
    if noise > _LOUD and lr > 2 * lr_auto:
        return "oscillates"
    return "crawls" if epochs > _LONG or lr < lr_auto / _SLOW else "good"


def _harm(found: Modes, *, intercept: bool) -> tuple[Any, Array]:
    """The columns ordered by what their scale does, and that of each, as `Diagnosis` says."""
    squares = found.squares + found.ridge
    if not intercept:
        live = squares[squares > 0]
        usual = float(np.exp(np.log(live).mean())) if len(live) else 1.0
        times = np.where(squares > 0, squares / usual, 1.0)
        harm = np.maximum(times, 1 / times)
    else:
        variance = np.asarray(found.spread**2 + found.ridge)
        # of [[m, mean], [mean, 1]] the two eigenvalues have this sum and product
        total = squares + 1
        large = (total + np.sqrt(np.maximum((squares - 1) ** 2 + 4 * (squares - variance), 0.0))) / 2
        harm = np.where(variance > 0, large / (variance / large), np.maximum(squares, 1.0))
    harm = np.where(np.isfinite(harm), harm, np.inf)
    return np.argsort(-harm, kind="stable"), harm
