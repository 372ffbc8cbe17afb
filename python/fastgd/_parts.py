"""Parts: what a run is made of, callable alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd import _core, _door
from fastgd._door import Array
from fastgd._request import classes_of, make_loss, make_problem, make_threads, with_classes


def losses() -> dict[str, dict[str, float]]:
    """The registered losses and their parameters' defaults, read off the engine's table.

    Returns
    -------
    dict of str to dict
        `{name: {parameter: default}}`; `fastgd.fit` takes a name, or a name and a dict of other values.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.losses()["mse"]
    {}
    """
    return _defaults(_core.losses())


def optimizers() -> dict[str, dict[str, float]]:
    """The registered update rules and their parameters' defaults.

    Returns
    -------
    dict of str to dict
        As of `fastgd.losses`.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.optimizers()["sgd"]
    {}
    """
    return _defaults(_core.optimizers())


def schedules() -> dict[str, dict[str, float]]:
    """The registered schedules and their parameters' defaults.

    Returns
    -------
    dict of str to dict
        As of `fastgd.losses`.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.schedules()["constant"]
    {}
    """
    return _defaults(_core.schedules())


def _defaults(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    return {name: row["parameters"] for name, row in table.items()}


def mse(y: Any, y_pred: Any) -> float:
    """Mean of (y_pred - y)^2 over all entries.

    Parameters
    ----------
    y, y_pred : array-like of one shape, (n,) or (n, K)

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ or an entry is not finite.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.mse([2, 4, 6, 8], [0, 0, 0, 0])
    30.0
    """
    shape = _door.real_array(y, "y").shape
    if 0 in shape or len(shape) not in (1, 2):
        raise ValueError(f"y must be (n,) or (n, K) with n >= 1, got shape {shape}")
    difference = _door.vector(y_pred, shape, "y_pred") - _door.vector(y, shape, "y")
    return float(np.mean(difference**2))


@np.errstate(all="ignore")
def loss_and_gradient(
    X: Any,
    y: Any,
    coef: Any,
    intercept: Any = 0.0,
    *,
    loss: str | tuple[str, dict[str, float]] = "mse",
    l1: float = 0.0,
    l2: float = 0.0,
    sample_weight: Any = None,
) -> tuple[float, Array, Any]:
    """The objective over all rows, and its gradient.

    Parameters
    ----------
    X : array-like, shape (n, d), or (n,) for one feature
    y : array-like, shape (n,) or (n, K)
    coef : array-like, shape (d,) or (K, d)
        For one feature and (n,) targets a number will do. For "softmax" (K, d), whatever classes y has.
    intercept : float, or array-like of shape (K,)
    loss, l1, l2, sample_weight
        As in `fastgd.fit`.

    Returns
    -------
    loss : float
    grad_coef : ndarray of the shape of `coef`
        With l1 a subgradient: l1 sign(w), 0 at 0.
    grad_intercept : float or ndarray of shape (K,)

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.loss_and_gradient([1, 2, 3, 4], [2, 4, 6, 8], 0.0)
    (30.0, array([-30.]), -10.0)
    """
    problem = make_problem(X, y, sample_weight)
    named = make_loss(loss, problem.y, classes=classes_of(coef))
    problem = with_classes(problem, named, coef)
    outputs, d = problem.outputs, problem.X.shape[1]
    if problem.single and d == 1 and _door.real_array(coef, "coef").ndim == 0:
        coef = [coef]
    w = _door.vector(coef, (d,) if problem.single else (outputs, d), "coef").reshape(outputs, d)
    scalar = problem.single or _door.real_array(intercept, "intercept").ndim == 0
    b = _door.vector(intercept, () if scalar else (outputs,), "intercept")
    l1 = _door.non_negative(l1, "l1")
    request = SimpleNamespace(
        loss=named,
        l1=l1,
        l2=_door.non_negative(l2, "l2"),
        coef=np.ascontiguousarray(w),
        intercept=np.ascontiguousarray(np.broadcast_to(b, (outputs,))),
        threads=make_threads(None, problem.X.size),
    )
    value, grad_coef, grad_intercept = _core.loss_and_gradient(problem, request)
    grad_coef += l1 * np.sign(w)
    if problem.single:
        return value, grad_coef[0], float(grad_intercept[0])
    return value, grad_coef, grad_intercept


def batches(n: int, batch_size: int | None, *, shuffle: bool | str = True, rng: Any = None) -> list[NDArray[np.int64]]:
    """The row indices of each batch of one epoch: the ones that `fastgd.fit` takes.

    Parameters
    ----------
    n : int
        Rows.
    batch_size : int or None
        None or >= n: one batch of all rows in order, and nothing is drawn.
    shuffle : {True, "once", False}, default True
        Whether the order is `rng.permutation(n)`.
    rng : None, int, SeedSequence, BitGenerator or Generator
        A Generator that is passed in goes on: with `shuffle=True`, one call an epoch lists a whole run that starts at
        zero. (`init=("normal", std)` draws first, and `"once"` is for one call.)

    Returns
    -------
    list of ndarray of int64

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.batches(5, 2, shuffle=False)
    [array([0, 1]), array([2, 3]), array([4])]
    >>> [batch.tolist() for batch in fastgd.batches(5, 2, rng=0)]
    [[2, 4], [3, 0], [1]]
    """
    n = _door.integer(n, "n")
    shuffle = _door.shuffling(shuffle)
    size = n if batch_size is None else _door.integer(batch_size, "batch_size")
    drawn = None if rng is None else _door.generator(rng)
    if size >= n or not shuffle:
        order = np.arange(n, dtype=np.int64)
    else:
        order = (np.random.default_rng() if drawn is None else drawn).permutation(n).astype(np.int64, copy=False)
    return [order[at : at + size] for at in range(0, n, size)]
