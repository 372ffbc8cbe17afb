"""Hard least squares: the truth in exact rational arithmetic, and how many of its digits `fit(X, y)` has.

The problems are after those of the NIST statistical reference datasets (Wampler's polynomials, Longley's economy,
Filip's tenth degree), drawn here; a truth is that of the very float64 numbers that are fitted.
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest

import fastgd

#: condition numbers of the standardised Hessian: below the first all digits are promised, above the second a warning
EASY, HOPELESS = 1e8, 1e11
#: what nobody is asked for: LAPACK may well have more by luck
ENOUGH = 14.0


def powers(x, degree):
    return np.column_stack([x**k for k in range(1, degree + 1)])


def polynomial(x, degree, noise=0):
    """Wampler's: all coefficients are 1; sixth differences, the noise, are orthogonal to powers up to 5."""
    X = powers(x, degree)
    return X, X.sum(axis=1) + 1 + (noise * np.resize([1, -6, 15, -20, 15, -6, 1], len(x)) if noise else 0)


def filip(degree):
    x = np.round(np.linspace(-9, -3, 82) * 1024) / 1024
    return powers(x, degree), np.round((0.8 + 0.1 * np.sin(2 * x)) * 2**20) / 2**20


def years(degree):
    year = np.arange(1947.0, 1963)
    return powers(year, degree), np.round(60_000 + 1000 * (year - 1947) + 300 * np.cos(year))


def economy():
    """Longley's: everything grows with the year."""
    rng, t = np.random.default_rng(1), np.arange(16)
    prices = np.round(83 + 2.2 * t + rng.standard_normal(16), 1)
    product = 234_289.0 + 21_350 * t + rng.integers(-6000, 6001, 16)
    idle, army = 2356.0 + 130 * t + rng.integers(-900, 901, 16), 2500.0 + rng.integers(-900, 901, 16)
    people = 107_608.0 + 1500 * t + rng.integers(-150, 151, 16)
    X = np.column_stack([prices, product, idle, army, people, 1947.0 + t])
    return X, 60_323.0 + 650 * t + rng.integers(-600, 601, 16)


def near(apart, noise):
    rng = np.random.default_rng(2)
    a, b, c, error = rng.standard_normal((4, 100))
    X = np.column_stack([a, a + apart * b, c])
    return X, X @ [2.0, -1.0, 1.0] + 3 + noise * error


def generic(n=100, d=3, offset=0.0, scale=1.0, of_y=0.0, seed=3):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, d))
    return Z * scale + offset, Z @ np.arange(1.0, d + 1) + of_y + 0.1 * rng.standard_normal(n)


def conditioned(number):
    rng = np.random.default_rng(5)
    U, V = (np.linalg.qr(rng.standard_normal((n, 8)))[0] for n in (500, 8))
    X = U * number ** -np.linspace(0, 0.5, 8) @ V.T
    return X, X @ rng.standard_normal(8) + 0.01 * rng.standard_normal(500)


def many(offset):
    rng = np.random.default_rng(4)
    X = rng.integers(-1000, 1001, (100_000, 4))
    return X + offset, X @ [1.0, 2.0, 3.0, 4.0] + rng.integers(-100, 101, 100_000)


SCALES = 10.0 ** np.array([-8, -4, 0, 4, 8])
PROBLEMS = (
    {f"powers of 0..20 to {k}": (polynomial, np.arange(21.0), k) for k in (1, 2, 3, 4, 5, 6, 7, 8, 10)}
    | {f"powers of -10..10 to {k}": (polynomial, np.arange(-10.0, 11), k) for k in range(1, 11)}
    | {f"fifth degree, noise {noise}": (polynomial, np.arange(21.0), 5, noise) for noise in (1, 100, 10_000)}
    | {f"powers of years to {k}": (years, k) for k in (1, 2, 3, 6)}
    | {f"filip to {k}": (filip, k) for k in (2, 4, 6, 10)}
    | {"economy": (economy,)}
    | {
        f"columns {10.0**-k:g} apart, noise {noise}": (near, 10.0**-k, noise)
        for k in (3, 4, 6, 8)
        for noise in (0, 0.1)
    }
    | {f"condition number {10.0**k:g}": (conditioned, 10.0**k) for k in range(1, 10)}
    | {f"offset {offset:g}": (generic, 100, 3, offset) for offset in (1e4, 1e8, 1e12)}
    | {f"offset of y {offset:g}": (generic, 100, 3, 0.0, 1.0, offset) for offset in (1e4, 1e8, 1e12)}
    | {"scales": (generic, 100, 5, 0.0, SCALES), "scales and offsets": (generic, 100, 5, 1e3 * SCALES, SCALES)}
    | {f"{n} rows of 6": (generic, n, 6) for n in (7, 8, 9)}
    | {f"many rows, offset {offset:g}": (many, offset) for offset in (0, 10**8)}
    | {"number of the row": (lambda: (powers(np.arange(100_000.0), 3), np.arange(100_000.0) % 7),)}
)


def whole(column):
    """Integers and a unit, which give the column exactly when divided."""
    ratios = [value.as_integer_ratio() for value in column.tolist()]
    unit = max(below for _, below in ratios)
    return np.array([above * (unit // below) for above, below in ratios], dtype=object), unit


def truth(X, y):
    """The coefficients and, last, the intercept: normal equations over the rationals, solved by Gauss and Jordan."""
    columns = [whole(column) for column in np.column_stack([X, np.ones(len(X)), y]).T]
    p = len(columns) - 1
    rows = [[Fraction(int(columns[i][0] @ columns[j][0])) for j in range(p + 1)] for i in range(p)]
    for i in range(p):  # positive definite, so no pivot is 0
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(p):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [rows[i][p] * columns[i][1] / columns[p][1] for i in range(p)]


def digits(found, exact):
    """How many digits of the worst coefficient are right."""
    errors = [float(abs(Fraction(float(f)) - e) / abs(e)) for f, e in zip(found, exact, strict=True)]
    return min(ENOUGH, -math.log10(max(*errors, 1e-17)))


def lapack(X, y):
    """Least squares by LAPACK on standardised columns."""
    mean = X.mean(axis=0)
    scale = (X - mean).std(axis=0)
    Z = (X - mean) / scale
    return np.linalg.lstsq(Z - Z.mean(axis=0), y - y.mean(), rcond=None)[0] / scale


def condition(X):
    Z = X - X.mean(axis=0)
    return np.linalg.cond((Z - Z.mean(axis=0)) / Z.std(axis=0)) ** 2


def fitted(X, y, **options):
    """The result, and whether it came with a word about the condition number."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = fastgd.fit(X, y, record=None, **options)
    assert all(warning.category is fastgd.ConvergenceWarning for warning in warned)
    assert all("condition number" in str(warning.message) for warning in warned)
    return result, bool(warned)


@pytest.mark.parametrize("name", PROBLEMS)
def test_as_many_digits_as_lapack_or_a_warning(name):
    make, *arguments = PROBLEMS[name]
    X, y = make(*arguments)
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    result, warned = fitted(X, y)
    hardness = condition(X)
    if hardness > HOPELESS:
        assert warned
    if warned:
        assert hardness > EASY
        return
    exact = truth(X, y)
    orders = [np.random.default_rng(k).permutation(len(y)) for k in range(5)]  # some are luckier than others
    reached = min(digits(lapack(X[order], y[order]), exact[:-1]) for order in orders)
    assert digits(result.coef, exact[:-1]) >= reached - 1
    best = fastgd.closed_form(X, y)
    assert digits(best.coef, exact[:-1]) >= reached - 1
    size = np.abs(result.coef * X.mean(axis=0)).sum() + np.abs(y).mean()  # what the intercept is a difference of
    for intercept in (result.intercept, best.intercept):
        assert abs(Fraction(intercept) - exact[-1]) <= 10 ** (1 - reached) * size


@pytest.mark.parametrize("noise", [0, 10_000])
def test_the_truth_of_wampler_is_one(noise):
    assert truth(*polynomial(np.arange(21.0), 5, noise)) == [1] * 6


def test_the_second_descent_goes_on_where_the_first_ended():
    X, y = polynomial(np.arange(21.0), 3)
    states = []
    result = fastgd.fit(X, y, callback=states.append)
    history, n = result.history, result.n_epochs
    assert history.epoch.tolist() == history.step.tolist() == list(range(n + 1))
    assert [state.epoch for state in states] == [state.step for state in states] == list(range(1, n + 1))
    np.testing.assert_array_equal([state.coef for state in states], history.coef[1:])
    np.testing.assert_array_equal([state.intercept for state in states], history.intercept[1:])
    assert (result.coef == history.coef[-1]).all()
    assert (np.diff(history.seconds) >= 0).all()
    np.testing.assert_allclose(history.coef[n // 2 + 1 :], np.broadcast_to(1.0, (n // 2, 3)), rtol=1e-4)
    stopped = fastgd.fit(X, y, callback=lambda state: state.epoch == n - 5)
    assert (stopped.status, stopped.n_epochs) == ("stopped", n - 5)
    assert stopped.coef.tolist() == history.coef[n - 5].tolist()
    assert fastgd.fit(X, y, epochs=n - 5).n_epochs == n - 5
    assert fastgd.fit(X, y, record=None).coef.tolist() == result.coef.tolist()
    assert fastgd.compare(X, y).max_difference < 1e-9


def test_records_of_both_descents_are_thinned_together():
    X, y = polynomial(np.arange(21.0), 5)
    steps = fastgd.fit(X, y).history.step
    assert 5000 <= len(steps) <= 10_001
    assert len(set(np.diff(steps).tolist())) <= 3, "but for the seam and the end, evenly"


SMALL = generic(30, 4, 0.0, 10.0 ** np.array([-2, 0, 1, 3]))
DIGITS = [
    ({}, 12),
    ({"optimizer": "momentum"}, 12),
    ({"optimizer": "sgd"}, 12),
    ({"sample_weight": np.arange(30) % 3}, 12),
    ({"fit_intercept": False}, 12),
    ({"standardize": False}, 10),  # at a condition number of 1e10
    ({"loss": "sse"}, 12),
    ({"l2": 0.1}, 9),  # a penalty is on all of w, and there is one descent
    ({"lr": 0.05, "standardize": True}, 9),
    ({"optimizer": "adam"}, 9),  # its steps are as long as the rate, however little is left
]


@pytest.mark.parametrize(("options", "least"), DIGITS, ids=[str(options) for options, _ in DIGITS])
def test_digits_with_other_options(options, least):
    X, y = SMALL
    known = {name: options[name] for name in ("l2", "sample_weight", "fit_intercept", "loss") if name in options}
    result, best = fastgd.fit(X, y, record=None, **options), fastgd.closed_form(X, y, **known)
    assert result.status == "converged"
    np.testing.assert_allclose(result.coef, best.coef, rtol=10.0**-least)


def test_digits_of_many_outputs():
    X, y = SMALL
    Y = np.column_stack([y, y**2, 1e6 * y])
    np.testing.assert_allclose(fastgd.fit(X, Y).coef, fastgd.closed_form(X, Y).coef, rtol=1e-11)


@pytest.mark.filterwarnings("ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_reference_leaves_out_a_penalty_of_0_whatever_the_coefficients(size):
    x, y = fastgd.datasets.load_points()
    found = fastgd.compare(x / size, y, lr=0.01, standardize=True, epochs=3)
    assert found.max_difference <= 1e-9
    steps = [
        way.fit(np.ones((3, 1)), [1.0, 2.0, 3.0], loss="huber", lr=1e160, epochs=1, batch_size=1, shuffle=False).n_steps
        for way in (fastgd, fastgd.reference)
    ]
    assert steps[0] == steps[1]
