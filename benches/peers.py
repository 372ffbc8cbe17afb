"""Peers: what others would write or call for the same work, each a function of the data and the row.

A peer is a row of `PEERS`; one whose module is not there is left out, and that is said. To add one: a function that
takes X, y and the row and answers with coefficients and intercept, and a row.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def numpy_loop(X: Any, y: Any, row: Any, path: list[Any] | None = None) -> tuple[Any, float]:
    """The textbook: mean squared error, vectorised over each batch, nothing else done.

    What fastgd calls `np.random.default_rng(seed).permutation(n)` is called here, so both take the same batches.
    """
    n, d = X.shape
    size, rng = row.batch_size or n, np.random.default_rng(row.seed)
    keep = [] if path is None and row.record == "step" else path
    w, b = np.zeros(d), 0.0
    for _ in range(row.epochs):
        order = rng.permutation(n) if row.shuffled else None
        for at in range(0, n, size):
            batch = slice(at, at + size) if order is None else order[at : at + size]
            rows, targets = (X, y) if size == n else (X[batch], y[batch])
            error = rows @ w + b - targets
            if keep is not None:
                keep.append((w, b, error @ error / len(error)))
            w = w - row.lr * (2 / len(error)) * (error @ rows)
            b = b - row.lr * (2 / len(error)) * error.sum()
    return w, b


def row_by_row(X: Any, y: Any, row: Any, side_by_side: int = 1000) -> tuple[Any, float]:
    """What the NumPy loop would answer for single rows, in seconds instead of minutes; for checks, not for times.

    A step is an affine map of (w, b), so stretches of an epoch can be composed side by side and then be joined.
    """
    n, d = X.shape
    rng, state = np.random.default_rng(row.seed), np.zeros(d + 1)
    for _ in range(row.epochs):
        stretches = rng.permutation(n).reshape(side_by_side, -1)
        maps = np.tile(np.eye(d + 1, d + 2), (side_by_side, 1, 1))  # of (w, b, 1)
        x = np.ones((side_by_side, d + 1, 1))
        for at in range(stretches.shape[1]):
            batch = stretches[:, at]
            x[:, :d, 0] = X[batch]
            error = x.transpose(0, 2, 1) @ maps
            error[:, 0, -1] -= y[batch]
            maps -= 2 * row.lr * x * error
        for one in maps:
            state = one @ np.append(state, 1.0)
    return state[:-1], state[-1]


def sgd_regressor(X: Any, y: Any, row: Any) -> tuple[Any, float]:
    """As many epochs, of single rows whatever the batches are: it has no others. Its squared error is halved."""
    from sklearn.linear_model import SGDRegressor

    stable = 0.5 / (X.shape[1] + 1)  # a rate that batches bear may be too large for single rows
    model = SGDRegressor(
        penalty=None,
        learning_rate="constant",
        eta0=min(2 * row.lr, stable),
        max_iter=row.epochs,
        tol=None,
        shuffle=row.shuffled,
        random_state=row.seed,
    ).fit(X, y)
    return model.coef_, model.intercept_[0]


def linear_regression(X: Any, y: Any, row: Any) -> tuple[Any, float]:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(X, y)
    return model.coef_, model.intercept_


def intelex(X: Any, y: Any, row: Any) -> tuple[Any, float]:
    from sklearnex.linear_model import LinearRegression

    model = LinearRegression().fit(X, y)
    return model.coef_, model.intercept_


def normal_equations(X: Any, y: Any, row: Any) -> tuple[Any, float]:
    """The fastest way in NumPy: the means are taken out of the products instead of the rows."""
    n = len(X)
    mean, middle = np.ones(n) @ X / n, y.mean()
    w = np.linalg.solve(X.T @ X - n * np.outer(mean, mean), y @ X - n * middle * mean)
    return w, middle - w @ mean


def torch_loop(X: Any, y: Any, row: Any) -> tuple[Any, float]:
    """The usual loop on the processor: autograd, torch.optim.SGD, batches gathered by torch.randperm."""
    import torch

    torch.manual_seed(row.seed)
    rows, targets = torch.from_numpy(X), torch.from_numpy(y)
    model = torch.nn.Linear(X.shape[1], 1, dtype=rows.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=row.lr)
    for _ in range(row.epochs):
        for batch in torch.randperm(len(rows)).split(row.batch_size):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(rows[batch])[:, 0], targets[batch]).backward()
            optimizer.step()
    return model.weight.detach().numpy()[0], model.bias.item()


@dataclass(frozen=True)
class Peer:
    fit: Callable[[Any, Any, Any], tuple[Any, float]]
    #: the module that it needs
    module: str
    #: of the distribution that brings it
    package: str
    #: a loop's cost is linear in its epochs: at most so many are run, and their time is multiplied
    epochs: int | None = None

    @property
    def there(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


PEERS = {
    "NumPy loop": Peer(numpy_loop, "numpy", "numpy"),
    "SGDRegressor": Peer(sgd_regressor, "sklearn", "scikit-learn"),
    "LinearRegression": Peer(linear_regression, "sklearn", "scikit-learn"),
    "normal equations": Peer(normal_equations, "numpy", "numpy"),
    "LinearRegression, intelex": Peer(intelex, "sklearnex", "scikit-learn-intelex"),
    "PyTorch loop": Peer(torch_loop, "torch", "torch", epochs=1),
}
