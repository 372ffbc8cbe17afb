"""Result: what a fit gives back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _core, _door, _html
from fastgd._door import Array
from fastgd.history import History

if TYPE_CHECKING:
    from fastgd._check import Check
    from fastgd.plot import LossCurve


@dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """A fitted linear model `y = X @ coef + intercept` and how it came about.

    Attributes
    ----------
    coef : ndarray, shape (d,), or (K, d) when y was two-dimensional
    intercept : float, or ndarray of shape (K,)
    loss : float
        The objective over all rows at `coef` and `intercept`, penalty included; of K outputs the sum.
    status : {"converged", "max_epochs", "diverged", "stopped"}
    message : str
        The status in a sentence.
    n_epochs, n_steps : int
        Passes over the rows, and updates.
    lr : float
        The rate, as given or chosen; where it changes, the first. `history.lr` has them all.
    optimizer : str
        The name of the update rule.
    engine : str
        "rows" walked the data, "gram" sufficient statistics; "closed_form" solved a least-squares problem.
    standardized : bool
        Whether the work was done on centred and scaled features. What is reported is in the user's units anyway.
    history : History
        What the run went through, the start first.
    options : dict
        The request, resolved: loss, batch_size, schedule, l1, l2, fit_intercept, tol, ...
    features : tuple of str, or None
        The names of the features, in the order of `coef`, where X was a table with a name for each column.
    target : str or None
        Likewise.
    """

    coef: Array
    intercept: Any
    loss: float
    status: str
    message: str
    n_epochs: int
    n_steps: int
    lr: float
    optimizer: str
    engine: str
    standardized: bool
    history: History
    options: dict[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] | None = None
    target: str | None = None

    def predict(self, X: Any) -> Array:
        """Raw predictions `X @ coef + intercept`.

        Parameters
        ----------
        X : array-like, shape (n, d), or (n,) for one feature

        Returns
        -------
        ndarray, shape (n,) or (n, K)

        Raises
        ------
        ValueError
            If X has another number of features than the model, is not finite, or is a table whose columns have other
            names than in the fit or another order.
        TypeError
            If X does not hold real numbers.

        Examples
        --------
        >>> import fastgd
        >>> model = fastgd.closed_form([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
        >>> model.predict([10.0]).round(9)
        array([21.])
        """
        checked = _door.rows(X)
        d = self.coef.shape[-1]
        if checked.shape[1] != d:
            raise ValueError(f"X must have {d} features as in the fit, got {checked.shape[1]}")
        _door.same_columns(X, self.features)
        coef = np.ascontiguousarray(self.coef.reshape(-1, d))
        raw = _core.predict(checked, None, coef, np.array(self.intercept, np.float64).reshape(-1))
        return raw[:, 0] if self.coef.ndim == 1 else raw

    def check(self, X: Any, y: Any, *, sample_weight: Any = None) -> Check:
        """How far this is from the minimum on the rows of the fit, or on others, and how long the rest would take.

        The objective is the fit's own: its loss, penalties, intercept and coordinates. Squared losses are held against
        the exact minimum, which costs about what `fastgd.closed_form` does; where more than 512 rows have more than 512
        features an estimate is made instead, and for l1, `positive` and other losses the gradient
        gives bounds.

        Parameters
        ----------
        X : array-like, shape (n, d), or (n,) for one feature
        y : array-like, shape (n,) or (n, K)
        sample_weight : array-like, shape (n,), optional
            Those of the fit are not kept.

        Returns
        -------
        Check

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong, or X and y have other columns than in the fit.

        Examples
        --------
        >>> import fastgd
        >>> x, y = fastgd.datasets.load_points()
        >>> found = fastgd.fit(x, y, lr=1e-4, epochs=1000).check(x, y)
        >>> print(f"loss {100 * found.excess_loss:.1f} % above the minimum, {found.epochs_needed:,.0f} epochs to go")
        loss 2.1 % above the minimum, 660,478 epochs to go
        """
        from fastgd._check import check

        return check(self, X, y, sample_weight)

    def plot(self, ax: Any = None) -> LossCurve:
        """The loss curve: `fastgd.plot.loss_curve(self, ax=ax)`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a figure.

        Returns
        -------
        fastgd.plot.LossCurve
        """
        from fastgd import plot

        return plot.loss_curve(self, ax=ax)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, the history included and every float exact; `fastgd.load` reads it.

        Parameters
        ----------
        path : str or path-like
            An existing file is replaced, once the new one is whole.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        from fastgd._file import save

        save(self, path)

    def _facts(self) -> list[tuple[str, str]]:
        def shown(values: Any) -> str:
            return np.array2string(np.asarray(values), precision=6, threshold=12, edgeitems=3, max_line_width=100)

        loss = self.options.get("loss", ("",))[0]
        start = f", {self.history.loss[0]:.6g} at the start" if len(self.history) else ""
        facts = [
            ("loss", f"{self.loss:.8g} ({loss}{start})"),
            ("coef", shown(self.coef)),
            ("intercept", shown(self.intercept)),
        ]
        if self.engine != "closed_form":
            facts.append(("by", f"{manner(self)}, {self.n_steps} step{'' if self.n_steps == 1 else 's'}"))
        return facts

    def __repr__(self) -> str:
        lines = [f"  {name:<9}  {value}".replace("\n", "\n" + " " * 13) for name, value in self._facts()]
        return "\n".join([f"FitResult: {self.message}", *lines])

    def _repr_html_(self) -> str:
        return _html.table(f"FitResult: {self.message}", self._facts(), curve=self.history.loss)


def manner(result: FitResult) -> str:
    """How a result came about, in few words: whatever is the plain default is left out."""
    return manner_of(result.options, standardized=result.standardized, optimizer=result.optimizer, lr=result.lr)


def manner_of(
    options: dict[str, Any], *, standardized: bool, optimizer: str | None = None, lr: float | None = None
) -> str:
    """The same from the options, at one rate or, with None, at many."""
    name, parameters = options.get("optimizer", ("", {}))
    schedule, of_schedule = options.get("schedule", ("constant", {}))
    size = options.get("batch_size")
    words = [
        _called(optimizer or name, parameters, _core.optimizers()),
        "" if lr is None else f"lr {lr:g}",
        "" if schedule == "constant" else f"schedule {_called(schedule, of_schedule, _core.schedules())}",
        "full batch" if size is None else "single rows" if size == 1 else f"batches of {size} rows",
        "standardised" if standardized else "",
        "no negative coefficients" if options.get("positive") else "",
        "mean of the later half" if options.get("average") == "tail" else "",
    ]
    return ", ".join(word for word in words if word)


def _called(name: str, parameters: dict[str, float], table: dict[str, Any]) -> str:
    """`momentum (beta=0.8)`; parameters that are the table's defaults are left out."""
    defaults = table[name]["parameters"] if name in table else {}
    told = [f"{key}={value:g}" for key, value in parameters.items() if defaults.get(key) != value]
    return f"{name} ({', '.join(told)})" if told else name
