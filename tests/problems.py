"""Squared losses of every kind that a full-batch run can meet: made and real, well and badly scaled, of short rank."""

from __future__ import annotations

import warnings

import numpy as np

import fastgd

#: rules of which all is known full batch
RULES = ["sgd", "momentum", ("nesterov", {"beta": 0.8}), "accelerated"]


def generic(n=120, d=4, scales=1.0, offset=0.0, noise=0.5, outputs=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (d,) if outputs is None else (d, outputs)
    Z = rng.standard_normal((n, d))
    y = Z @ rng.standard_normal(shape) + 0.7 + noise * rng.standard_normal((n, *shape[1:]))
    return Z * scales + offset, y


def duplicates(apart):
    X, y = generic(d=3, seed=1)
    return np.column_stack([X, X[:, 0] + apart * np.random.default_rng(2).standard_normal(len(X))]), y


def blocks():
    """Like houses in a county: skewed, correlated, of very different sizes."""
    rng = np.random.default_rng(3)
    income, age = rng.lognormal(1.2, 0.4, 300), rng.uniform(1, 52, 300)
    rooms = 3 + 0.6 * income + rng.standard_normal(300)
    X = np.column_stack([income, age, rooms, rooms / 5 + 0.1 * rng.standard_normal(300), rng.uniform(32, 42, 300)])
    return X, 0.4 * income + 0.01 * age + 0.3 * rng.standard_normal(300)


def penguins():
    X, y, _ = fastgd.datasets.load_penguins()
    return X, y / 1000


def diabetes():
    """The shape of that table: columns of length 1 about 0, all small."""
    X, y = generic(n=442, d=10, seed=4)
    X = X + 0.6 * X[:, :1]
    X = X - X.mean(axis=0)
    return X / np.linalg.norm(X, axis=0), 150 + 70 * y


WEIGHTS = np.arange(120) % 4 + 0.5
PROBLEMS = {
    "points": (fastgd.datasets.load_points, {}),
    "points standardised": (fastgd.datasets.load_points, {"standardize": True}),
    "points half_mse": (fastgd.datasets.load_points, {"loss": "half_mse"}),
    "points sse": (fastgd.datasets.load_points, {"loss": "sse"}),
    "points through 0": (fastgd.datasets.load_points, {"fit_intercept": False}),
    "penguins standardised": (penguins, {"standardize": True}),
    "penguins l2": (penguins, {"l2": 3.0, "fit_intercept": False}),
    "diabetes-like": (diabetes, {}),
    "diabetes-like standardised": (diabetes, {"standardize": True, "loss": "half_mse"}),
    "california-like": (blocks, {"standardize": True}),
    "california-like l2": (blocks, {"standardize": True, "l2": 0.3, "loss": "half_mse"}),
    "line": (lambda: fastgd.datasets.make_line(rng=1), {}),
    "linear": (lambda: fastgd.datasets.make_linear(rng=1), {"loss": "half_mse"}),
    "generic": (generic, {}),
    "bad scales": (lambda: generic(scales=np.array([1, 5, 0.2, 12])), {}),
    "bad scales sse": (lambda: generic(scales=np.array([1, 5, 0.2, 12])), {"loss": "sse", "sample_weight": WEIGHTS}),
    "offset": (lambda: generic(offset=3.0), {}),
    "offset 1e6 standardised": (lambda: generic(offset=1e6), {"standardize": True}),
    "near duplicates": (lambda: duplicates(0.05), {}),
    "near duplicates standardised": (lambda: duplicates(0.02), {"standardize": True}),
    "duplicates": (lambda: duplicates(0.0), {}),
    "weights": (generic, {"sample_weight": WEIGHTS}),
    "weights standardised no intercept": (
        lambda: generic(offset=1.0),
        {"sample_weight": WEIGHTS, "standardize": True, "fit_intercept": False},
    ),
    "l2": (generic, {"l2": 2.0}),
    "l2 standardised": (lambda: generic(scales=np.array([1, 50, 0.2, 4])), {"l2": 0.5, "standardize": True}),
    "l2 sse": (generic, {"l2": 30.0, "loss": "sse", "sample_weight": WEIGHTS}),
    "short rank": (lambda: generic(n=15, d=40), {}),
    "short rank standardised": (lambda: generic(n=12, d=30, seed=5), {"standardize": True}),
    "short rank l2": (lambda: generic(n=15, d=40), {"l2": 0.1}),
    "no noise": (lambda: generic(noise=0.0), {}),
    "outputs": (lambda: generic(outputs=3), {}),
    "outputs standardised": (lambda: generic(outputs=2, scales=np.array([1, 5, 0.2, 9])), {"standardize": True}),
}


def gram(X, y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fastgd.fit(X, y, engine="gram", **options)
