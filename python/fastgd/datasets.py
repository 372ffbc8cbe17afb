"""Datasets: lines to practise on, and two small real tables.

>>> from fastgd import datasets
>>> x, y = datasets.load_points()
>>> x.shape, y.shape
((100,), (100,))
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np

from fastgd import _door
from fastgd._door import Array

__all__ = ["load_penguins", "load_points", "make_line", "make_linear"]

#: shipped tables: name -> file in fastgd/data
TABLES = {"points": "points.csv", "penguins": "penguins.csv"}


def make_line(
    n: int = 100,
    slope: float = 2.0,
    intercept: float = 1.0,
    noise: float = 1.0,
    low: float = 0.0,
    high: float = 10.0,
    rng: Any = None,
) -> tuple[Array, Array]:
    """Points about a line: x uniform on [low, high), y = slope x + intercept + noise N(0, 1).

    Parameters
    ----------
    n : int
    slope, intercept : float
    noise : float
        Standard deviation, >= 0.
    low, high : float
        low < high.
    rng : None, int, SeedSequence, BitGenerator or Generator

    Returns
    -------
    x, y : ndarray, shape (n,)

    Examples
    --------
    >>> from fastgd import datasets
    >>> x, y = datasets.make_line(n=5, noise=0.0, rng=0)
    >>> bool(abs(y - (2 * x + 1)).max() < 1e-12)
    True
    """
    n, noise = _door.integer(n, "n"), _door.non_negative(noise, "noise")
    slope, intercept = _door.real(slope, "slope"), _door.real(intercept, "intercept")
    low, high = _door.real(low, "low"), _door.real(high, "high")
    if not 0 < high - low < np.inf:
        raise ValueError(f"high must be greater than low={low:g} by a finite number, got {high:g}")
    drawn = _door.generator(rng)
    x = drawn.uniform(low, high, n)
    return x, slope * x + intercept + noise * drawn.standard_normal(n)


def make_linear(
    n: int = 1000, coef: Any = (2.0, -3.4), intercept: float = 4.2, noise: float = 0.1, rng: Any = None
) -> tuple[Array, Array]:
    """Standard normal features with a linear target: y = X @ coef + intercept + noise N(0, 1).

    Parameters
    ----------
    n : int
    coef : array-like, shape (d,)
    intercept : float
    noise : float
        Standard deviation, >= 0.
    rng : None, int, SeedSequence, BitGenerator or Generator

    Returns
    -------
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)

    Examples
    --------
    >>> from fastgd import datasets
    >>> X, y = datasets.make_linear(n=50, rng=0)
    >>> X.shape, y.shape
    ((50, 2), (50,))
    """
    n, noise = _door.integer(n, "n"), _door.non_negative(noise, "noise")
    shape = _door.real_array(coef, "coef").shape
    if len(shape) != 1 or 0 in shape:
        raise ValueError(f"coef must have shape (d,) with d >= 1, got {shape}")
    w = _door.vector(coef, shape, "coef")
    drawn = _door.generator(rng)
    X = drawn.standard_normal((n, len(w)))
    return X, X @ w + _door.real(intercept, "intercept") + noise * drawn.standard_normal(n)


def load_points() -> tuple[Array, Array]:
    """A hundred points roughly along a line, known from many a tutorial.

    Returns
    -------
    x, y : ndarray, shape (100,)

    Notes
    -----
    Copyright (c) 2015 Matt Nedrich, MIT licence; the notice lies beside the data.

    Examples
    --------
    >>> from fastgd import datasets
    >>> x, y = datasets.load_points()
    >>> print(f"{x.mean():.3f} {y.mean():.3f}")
    48.958 72.735
    """
    table = _read("points")
    return table[:, 0].copy(), table[:, 1].copy()


def load_penguins() -> tuple[Array, Array, list[str]]:
    """Body mass of 342 penguins of the Palmer archipelago, from the lengths of bill and flipper and the bill's depth.

    The complete rows of the Palmer penguins (CC0).

    Returns
    -------
    X : ndarray, shape (342, 3)
        In millimetres.
    y : ndarray, shape (342,)
        In grams.
    names : list of str
        Of the features.

    References
    ----------
    Gorman, Williams and Fraser, "Ecological sexual dimorphism and environmental variability within a community of
    Antarctic penguins (genus Pygoscelis)", PLoS ONE 9(3), 2014. Horst, Hill and Gorman, palmerpenguins, 2020.

    Examples
    --------
    >>> from fastgd import datasets
    >>> X, y, names = datasets.load_penguins()
    >>> X.shape, names
    ((342, 3), ['bill_length_mm', 'bill_depth_mm', 'flipper_length_mm'])
    """
    with open_table("penguins") as lines:
        names = lines.readline().strip().split(",")
    table = _read("penguins", header=1)
    return table[:, :3].copy(), table[:, 3].copy(), names[:3]


def _read(name: str, header: int = 0) -> Array:
    with open_table(name) as lines:
        return np.loadtxt(lines, delimiter=",", skiprows=header)


def open_table(name: str) -> IO[str]:
    """A shipped table as text."""
    from importlib import resources  # takes longer to load than all of fastgd

    return resources.files("fastgd").joinpath("data", TABLES[name]).open(encoding="utf-8")
