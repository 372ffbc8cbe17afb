"""Plots: every picture returns what it drew, draws only where it may, and survives what runs can do."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import fastgd
from fastgd import plot
from fastgd.plot import _surfaces

X, Y = fastgd.datasets.make_line(n=50, rng=0)
X2, Y2 = fastgd.datasets.make_linear(n=60, rng=0)
RUN = fastgd.fit(X, Y, lr=0.02, epochs=12)
SWEEP = fastgd.sweep(X, Y, np.logspace(-4, 0, 20), epochs=12)
PATH = fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.3, steps=15)
PATH2 = fastgd.gradient_descent(lambda x: [2 * x[0], 8 * x[1]], [3.0, 1.0], lr=0.1, steps=9)


def square(x):
    return x**2


def bowl(x):
    return float(x[0] ** 2 + 4 * x[1] ** 2)


#: name -> (a call, class of its display, labels of the axes)
PLOTS = {
    "loss_curve": (lambda ax: plot.loss_curve(RUN, ax), plot.LossCurve, ("epoch", "loss (mse)")),
    "fit_line": (lambda ax: plot.fit_line(X, Y, RUN, [1, 3], ax), plot.FitLine, ("x", "y")),
    "parameter_path": (lambda ax: plot.parameter_path(RUN, ax), plot.ParameterPath, ("epoch", "parameter")),
    "loss_surface": (lambda ax: plot.loss_surface(X, Y, RUN, ax), plot.LossSurface, ("coef", "intercept")),
    "residuals": (
        lambda ax: plot.residuals(X, Y, RUN, ax),
        plot.Residuals,
        ("prediction", "residual (y - prediction)"),
    ),
    "lr_sweep": (
        lambda ax: plot.lr_sweep(SWEEP, ax),
        plot.LearningRateSweep,
        ("learning rate", "loss above the minimum after 12 epochs (mse)"),
    ),
    "lr_sweep_curves": (
        lambda ax: plot.lr_sweep(SWEEP, ax, curves=True),
        plot.LearningRateSweep,
        ("epoch", "loss (mse)"),
    ),
    "descent": (lambda ax: plot.descent(square, PATH, ax), plot.Descent, ("x", "f(x)")),
    "descent_2d": (lambda ax: plot.descent(bowl, PATH2, ax), plot.Descent, ("x[0]", "x[1]")),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(params=PLOTS)
def case(request):
    return PLOTS[request.param]


def drawn(display):
    """Rendered for real: some warnings and errors come no earlier."""
    display.figure_.canvas.draw()
    return display


def fit_diverging(x, y, **options):
    with pytest.warns(fastgd.DivergenceWarning):
        return fastgd.fit(x, y, **options)


def test_returns_a_display_on_a_new_figure(case):
    draw, kind, labels = case
    display = drawn(draw(None))
    assert type(display) is kind
    assert display.figure_ is display.ax_.figure
    assert plt.fignum_exists(display.figure_.number)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == labels
    assert display.lines_
    assert set(display.lines_) <= set(display.ax_.lines)


def test_draws_on_the_given_axes_alone(case):
    figure, (given, other) = plt.subplots(1, 2)
    before = plt.get_fignums()
    display = drawn(case[0](given))
    assert display.ax_ is given
    assert display.figure_ is figure
    assert plt.get_fignums() == before
    assert figure.axes == [given, other]
    assert not other.has_data()


def test_leaves_settings_as_they_are(case):
    before = dict(matplotlib.rcParams)
    drawn(case[0](None))
    assert dict(matplotlib.rcParams) == before


def test_shows_nothing(case, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("plt.show was called"))
    monkeypatch.setattr(Figure, "show", lambda *_, **__: pytest.fail("Figure.show was called"))
    case[0](None)


def test_works_without_pyplot_on_given_axes(case):
    display = case[0](Figure().subplots())
    assert plt.get_fignums() == []
    assert display.lines_


@pytest.mark.parametrize("ax", [3, "ax", plt.Figure, np.zeros(2)])
def test_refuses_what_is_no_axes(case, ax):
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got"):
        case[0](ax)


def test_refused_requests_open_no_figure():
    for wrong in (
        lambda: plot.fit_line(X2, Y2, fastgd.closed_form(X2, Y2)),
        lambda: plot.loss_surface(X, Y, RUN, parameters=(0, 5)),
        lambda: plot.loss_curve(fastgd.closed_form(X, Y)),
        lambda: plot.animate(X, Y, RUN, "run.mp4"),
        lambda: plot.animate(X, Y, fastgd.closed_form(X, Y), "run.gif"),
    ):
        with pytest.raises(ValueError, match="must"):
            wrong()
    assert plt.get_fignums() == []


BAD = {
    "result, a number": (lambda: plot.loss_curve(3), TypeError, "result must be a FitResult, got int"),
    "no history": (lambda: plot.loss_curve(fastgd.closed_form(X, Y)), ValueError, "result must have a history"),
    "record=None": (
        lambda: plot.parameter_path(fastgd.fit(X, Y, lr=0.01, epochs=2, record=None)),
        ValueError,
        "result must have a history, got one of a fit with record=None",
    ),
    "a sweep, a list": (lambda: plot.lr_sweep([1]), TypeError, "sweep must be a Sweep, got list"),
    "curves": (lambda: plot.lr_sweep(SWEEP, curves=1), TypeError, "curves must be True or False, got 1"),
    "another ending": (
        lambda: plot.animate(X, Y, RUN, "run.mp4"),
        ValueError,
        r"path must end in .gif, .html or .htm, got 'run.mp4'",
    ),
    "no folder": (lambda: plot.animate(X, Y, RUN, "nowhere/run.gif"), FileNotFoundError, "path must lie in a folder"),
    "path, a number": (lambda: plot.animate(X, Y, RUN, 3), TypeError, "path must be a str or path-like, got 3"),
    "one Axes": (lambda: plot.animate(X, Y, RUN, ax=3), TypeError, "ax must be a pair of matplotlib Axes or None"),
    "of two figures": (
        lambda: plot.animate(X, Y, RUN, ax=(plt.subplots()[1], plt.subplots()[1])),
        ValueError,
        "ax must be two different Axes of one figure",
    ),
    "nothing to move": (
        lambda: plot.animate(X, Y, fastgd.closed_form(X, Y)),
        ValueError,
        "result must have a history",
    ),
    "two features": (
        lambda: plot.fit_line(X2, Y2, fastgd.closed_form(X2, Y2)),
        ValueError,
        "X must have one feature for a line, got 2",
    ),
    "other features": (lambda: plot.fit_line(X2, Y2, RUN), ValueError, "X must have 1 feature as in the fit, got 2"),
    "other outputs": (
        lambda: plot.loss_surface(X, np.column_stack([Y, Y]), RUN),
        ValueError,
        r"y must be \(n,\) as in the fit, got shape \(50, 2\)",
    ),
    "a round too late": (
        lambda: plot.fit_line(X, Y, RUN, [1, 13]),
        ValueError,
        "rounds must be recorded epochs, of 0 to 12, got 13",
    ),
    "rounds, a number": (lambda: plot.fit_line(X, Y, RUN, 3), TypeError, "rounds must be an iterable of epochs, got 3"),
    "half a round": (lambda: plot.fit_line(X, Y, RUN, [1.5]), TypeError, "each of rounds must be an integer"),
    "closed_form, a number": (
        lambda: plot.parameter_path(RUN, closed_form=1),
        TypeError,
        "closed_form must be a FitResult, got int",
    ),
    "closed_form of others": (
        lambda: plot.parameter_path(RUN, closed_form=fastgd.closed_form(X2, Y2)),
        ValueError,
        r"closed_form must have coef of shape \(1,\), got \(2,\)",
    ),
    "three parameters": (
        lambda: plot.loss_surface(X2, Y2, fastgd.fit(X2, Y2, lr=0.1, epochs=3)),
        ValueError,
        "parameters must be two different ones of 0, 1, 'intercept', got None",
    ),
    "twice the same": (
        lambda: plot.loss_surface(X, Y, RUN, parameters=(0, 0)),
        ValueError,
        "parameters must be two different ones of 0, 'intercept'",
    ),
    "fun, a number": (lambda: plot.descent(3, PATH), TypeError, "fun must be callable, got 3"),
    "fun of pairs": (lambda: plot.descent(lambda x: [x, x], PATH), ValueError, r"fun\(x\) must be a number, got shape"),
    "path, a list": (lambda: plot.descent(square, [5, 2]), TypeError, "path must be the Path .* got list"),
    "three dimensions": (
        lambda: plot.descent(bowl, fastgd.gradient_descent(lambda x: 2 * x, np.ones(3), lr=0.1, steps=2)),
        ValueError,
        "path must have one or two dimensions for a picture, got 3",
    ),
    "nowhere finite": (
        lambda: plot.descent(lambda x: math.nan, PATH),
        ValueError,
        "path must pass where the function is finite",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_says_what_is_wrong(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call()


def test_says_which_extra_is_missing():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import fastgd\n"
        "try: fastgd.fit([1.0, 2.0], [1.0, 2.0], lr=0.1, epochs=1).plot()\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "fastgd.plot needs matplotlib: pip install 'fastgd[plot]'"


def test_loads_matplotlib_only_for_a_picture():
    code = "import sys, fastgd; fastgd.plot.loss_curve; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_loss_curve_is_the_history():
    (line,) = plot.loss_curve(RUN).lines_
    np.testing.assert_array_equal(line.get_xdata(), RUN.history.epoch)
    np.testing.assert_array_equal(line.get_ydata(), RUN.history.loss)


@pytest.mark.parametrize(("record", "unit"), [("epoch", "epoch"), ("step", "step"), (3, "step")])
def test_batched_runs_are_drawn_against_what_was_recorded(record, unit):
    run = fastgd.fit(X, Y, lr=0.01, epochs=4, batch_size=7, record=record, rng=0)
    for display in (plot.loss_curve(run), plot.parameter_path(run)):
        assert display.ax_.get_xlabel() == unit
        np.testing.assert_array_equal(display.lines_[0].get_xdata(), getattr(run.history, unit))


def test_full_batch_steps_are_epochs():
    assert plot.loss_curve(fastgd.fit(X, Y, lr=0.01, epochs=4, record=2)).ax_.get_xlabel() == "epoch"


@pytest.mark.parametrize(("span", "scale"), [(50.0, "linear"), (1e3, "log")])
def test_loss_axis_is_logarithmic_beyond_two_decades(span, scale):
    run = fastgd.fit([1.0, -1.0], [1.0, -1.0], lr=(1 - span**-0.5) / 2, epochs=1, fit_intercept=False)
    assert run.history.loss[0] / run.history.loss[-1] == pytest.approx(span)
    assert plot.loss_curve(run).ax_.get_yscale() == scale


def test_penalties_are_named():
    assert plot.loss_curve(fastgd.fit(X, Y, lr=0.01, epochs=2, l2=0.1)).ax_.get_ylabel() == "loss (mse + penalty)"


def test_several_curves_are_told_apart():
    first = plot.loss_curve(RUN)
    second = plot.loss_curve(fastgd.fit(X, Y, lr=0.001, epochs=12, batch_size=1, rng=0), ax=first.ax_)
    (a,), (b,) = first.lines_, second.lines_
    assert a.get_color() != b.get_color()
    assert (a.get_label(), b.get_label()) == ("full batch", "single rows")


def test_result_and_path_plot_themselves():
    assert isinstance(RUN.plot(), plot.LossCurve)
    path = fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=0.3, steps=15, fun=square)
    assert isinstance(path.plot(), plot.Descent)


def test_fit_line_draws_the_recorded_lines():
    display = plot.fit_line(X, Y, RUN, rounds=iter([0, 3]))
    ends = np.array([X.min(), X.max()])
    assert [line.get_label() for line in display.lines_[:2]] == ["start", "after 3 epochs"]
    for line, record in zip(display.lines_, (0, 3, -1), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), ends)
        expected = RUN.history.coef[record, 0] * ends + RUN.history.intercept[record]
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-15)
    np.testing.assert_array_equal(display.points_[0].get_offsets(), np.column_stack([X, Y]))


def test_fit_line_finds_the_end_of_an_epoch_among_steps():
    run = fastgd.fit(X, Y, lr=0.01, epochs=3, batch_size=20, record="step", rng=0)  # three steps an epoch
    line = plot.fit_line(X, Y, run, rounds=[2]).lines_[0]
    assert line.get_ydata()[0] == pytest.approx(run.history.coef[6, 0] * X.min() + run.history.intercept[6], rel=1e-14)


def test_a_wild_line_does_not_flatten_the_data():
    run = fit_diverging(X, Y, lr=0.5, epochs=20)
    low, high = drawn(plot.fit_line(X, Y, run, rounds=run.history.epoch)).ax_.get_ylim()
    assert low <= Y.min()
    assert Y.max() <= high
    assert high - low < 6 * np.ptp(Y)


def test_parameter_path_is_the_history():
    best = fastgd.closed_form(X, Y)
    coef, intercept, *dashed = plot.parameter_path(RUN, closed_form=best).lines_
    np.testing.assert_array_equal(coef.get_ydata(), RUN.history.coef[:, 0])
    np.testing.assert_array_equal(intercept.get_ydata(), RUN.history.intercept)
    assert [line.get_ydata()[0] for line in dashed] == [best.coef[0], best.intercept]
    assert [line.get_color() for line in dashed] == [coef.get_color(), intercept.get_color()]


def test_parameter_path_of_many_shows_those_that_moved():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((80, 70))
    run = fastgd.fit(rows, rows[:, 69], lr=0.05, epochs=5, fit_intercept=False)
    display = drawn(plot.parameter_path(run))
    assert len(display.lines_) == 50
    assert display.lines_[-1].get_label() == "coef[69]"
    assert "50 of 70" in display.ax_.texts[0].get_text()


def test_loss_surface_has_the_recorded_path():
    path, start, end, lowest = plot.loss_surface(X, Y, RUN).lines_
    np.testing.assert_array_equal(path.get_xdata(), RUN.history.coef[:, 0])
    np.testing.assert_array_equal(path.get_ydata(), RUN.history.intercept)
    assert start.get_xydata().tolist() == [[0.0, 0.0]]
    assert end.get_xydata().tolist() == [[RUN.coef[0], RUN.intercept]]
    best = fastgd.closed_form(X, Y)
    np.testing.assert_allclose(lowest.get_xydata(), [[best.coef[0], best.intercept]], rtol=1e-9)


SURFACES = {
    "plain": (X, Y, {}, (0, "intercept")),
    "penalties": (X, Y, {"l1": 3.0, "l2": 5.0}, (0, "intercept")),
    "sum": (X, Y, {"loss": "sse", "lr": 1e-4}, (0, "intercept")),
    "two of three": (X2, Y2, {"l1": 0.5}, ("intercept", 1)),
    "weights": (X, Y, {"sample_weight": np.arange(50.0)}, (0, "intercept")),
    "outputs": (X2, np.column_stack([Y2, -Y2]), {"l1": 0.5}, ((1, 0), (0, "intercept"))),
    "constant column": (np.column_stack([X, 0 * X]), Y, {}, (1, "intercept")),
}


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("squared", [True, False])
def test_loss_surface_is_the_objective(name, squared, monkeypatch):
    rows, y, options, keys = SURFACES[name]
    run = fastgd.fit(rows, y, **{"lr": 0.01, "epochs": 5} | options)
    table = fastgd._core.losses()
    shown = {key: facts | {"squared": squared} for key, facts in table.items()}
    monkeypatch.setattr(_surfaces, "_core", type("core", (), {"losses": staticmethod(lambda: shown)}))
    value, _ = _surfaces._objective(rows, y, run, _surfaces._two(run, keys), options.get("sample_weight"))
    shared = {key: options[key] for key in ("loss", "l1", "l2", "sample_weight") if key in options}
    for point in [(0.0, 0.0), (1.5, -2.0), (-30.0, 4.0)]:
        coef, intercept = run.coef.copy(), np.array(run.intercept)
        for key, number in zip(keys, point, strict=True):
            k, j = key if isinstance(key, tuple) else ((), key)
            if j == "intercept":
                intercept[k] = number
            else:
                coef[(*np.atleast_1d(k).astype(int), j)] = number
        expected, _, _ = fastgd.loss_and_gradient(rows, y, coef, intercept, **shared)
        assert value(np.array([point]))[0] == pytest.approx(expected, rel=1e-10)
    drawn(
        plot.loss_surface(rows, y, run, parameters=keys, sample_weight=options.get("sample_weight"))
        if squared
        else plot.loss_curve(run)
    )


def test_loss_surface_of_two_coefficients():
    run = fastgd.fit(X2, Y2, lr=0.1, epochs=5, fit_intercept=False)
    axes = drawn(plot.loss_surface(X2, Y2, run)).ax_
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("coef[0]", "coef[1]")


def test_descent_draws_the_positions():
    path, start, end, curve = plot.descent(square, PATH).lines_
    np.testing.assert_array_equal(path.get_xdata(), PATH.x)
    np.testing.assert_array_equal(path.get_ydata(), PATH.x**2)
    assert start.get_xdata()[0] == 5.0
    assert end.get_xdata()[0] == PATH.x[-1]
    np.testing.assert_array_equal(curve.get_ydata(), curve.get_xdata() ** 2)


def test_descent_in_two_dimensions_draws_the_positions():
    display = plot.descent(bowl, PATH2)
    np.testing.assert_array_equal(display.lines_[0].get_xydata(), PATH2.x)
    assert display.contour_ is not None


def test_descent_leaves_gaps_where_the_function_is_not_defined():
    path = fastgd.gradient_descent(lambda x: 1 - 1 / x, 10.0, lr=0.5, steps=60)
    curve = drawn(plot.descent(lambda x: x - math.log(x), path)).lines_[-1]
    x, y = curve.get_data()
    assert x.min() < 0
    np.testing.assert_array_equal(np.isnan(y), x <= 0)


@pytest.mark.parametrize("steps", [15, 100, 5000])
def test_a_path_that_climbs_away_says_so(steps):
    with pytest.warns(fastgd.DivergenceWarning) if steps == 5000 else contextlib.nullcontext():
        path = fastgd.gradient_descent(lambda x: 2 * x, 5.0, lr=1.1, steps=steps)
    display = drawn(plot.descent(square, path))
    assert display.lines_[0].get_label() == "leaves after step 6"
    assert np.abs(display.ax_.get_xlim()).max() < 100


DIVERGED = {
    "slowly": {"lr": 0.035, "epochs": 200},
    "at once": {"lr": 1e3, "epochs": 50},
    "beyond all numbers": {"lr": 1e150, "epochs": 50},
    "in batches": {"lr": 1.0, "epochs": 50, "batch_size": 5, "record": "step", "rng": 0},
}


@pytest.mark.parametrize("name", DIVERGED)
def test_diverged_runs(name):
    run = fit_diverging(X, Y, **DIVERGED[name])
    curve, parameters = drawn(plot.loss_curve(run)), drawn(plot.parameter_path(run))
    for display in (curve, parameters):
        assert any("diverged after" in text.get_text() for text in display.ax_.texts)
    finite = np.isfinite(curve.lines_[0].get_ydata()).sum()
    assert curve.ax_.get_yscale() == ("log" if finite > 1 else "linear")
    surface = drawn(plot.loss_surface(X, Y, run))
    assert "leaves after" in surface.lines_[0].get_label()
    assert all(np.isfinite(surface.ax_.get_xlim()))
    line = drawn(plot.fit_line(X, Y, run, rounds=[0, 1] if 1 in run.history.epoch else [0]))
    assert "diverged after" in line.ax_.texts[-1].get_text()


def test_losses_that_are_not_finite_leave_a_gap():
    history = RUN.history
    loss = history.loss.copy()
    loss[-3:] = 1e300, np.inf, np.nan
    broken = type(history)(**{**vars(history), "loss": loss})
    run = type(RUN)(**{**vars(RUN), "history": broken, "status": "diverged"})
    (line,) = drawn(plot.loss_curve(run)).lines_
    np.testing.assert_array_equal(line.get_ydata()[:-3], history.loss[:-3])
    assert np.isnan(line.get_ydata()[-3:]).all()


@pytest.mark.parametrize(("lr", "scale"), [(0.5, "linear"), (0.499999, "log")])
def test_a_loss_of_exactly_zero(lr, scale):
    run = fastgd.fit([1.0, -1.0], [1.0, -1.0], lr=lr, epochs=10, fit_intercept=False)
    assert run.history.loss[-1] == 0
    display = drawn(plot.loss_curve(run))
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), run.history.loss)
    assert display.ax_.get_yscale() == scale
    assert ["reaches 0" in text.get_text() for text in display.ax_.texts] == [True] * (scale == "log")


def test_a_loss_that_is_zero_all_along():
    run = fastgd.fit([1.0, 2.0], [0.0, 0.0], lr=0.1, epochs=3)
    for display in (plot.loss_curve(run), plot.parameter_path(run), plot.loss_surface([1.0, 2.0], [0.0, 0.0], run)):
        drawn(display)


def test_a_flat_function():
    path = fastgd.gradient_descent(lambda x: 0 * x, [1.0, 2.0], lr=0.1, steps=3)
    drawn(plot.descent(lambda x: 7.0, path))
    drawn(plot.descent(lambda x: 7.0, fastgd.gradient_descent(lambda x: 0 * x, 1.0, lr=0.1, steps=3)))


def test_a_high_objective_with_a_shallow_bowl():
    run = fastgd.fit(X, Y + 1e9 * np.sign(Y - Y.mean()), lr=1e-9, epochs=2, fit_intercept=True)
    drawn(plot.loss_surface(X, Y, run))


def test_outputs():
    y = np.column_stack([Y, -Y, Y + 5])
    run = fastgd.fit(X, y, lr=0.02, epochs=10)
    drawn(plot.loss_curve(run))
    display = drawn(plot.parameter_path(run, closed_form=fastgd.closed_form(X, y)))
    assert [line.get_label() for line in display.lines_[:4]] == [
        "coef[0, 0]",
        "coef[1, 0]",
        "coef[2, 0]",
        "intercept[0]",
    ]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), run.history.coef[:, 1, 0])
    np.testing.assert_array_equal(display.lines_[5].get_ydata(), run.history.intercept[:, 2])
    lines = drawn(plot.fit_line(X, y, run, rounds=[1]))
    assert len(lines.lines_) == 6
    assert len(lines.points_) == 3
    surface = drawn(plot.loss_surface(X, y, run, parameters=((1, 0), (1, "intercept"))))
    np.testing.assert_array_equal(surface.lines_[0].get_xdata(), run.history.coef[:, 1, 0])
    assert surface.ax_.get_ylabel() == "intercept[1]"


def test_one_output_of_a_matrix():
    y = Y[:, None]
    run = fastgd.fit(X, y, lr=0.02, epochs=5)
    for display in (plot.loss_curve(run), plot.parameter_path(run), plot.fit_line(X, y, run, [1])):
        drawn(display)
    assert drawn(plot.loss_surface(X, y, run)).ax_.get_xlabel() == "coef[0, 0]"


def test_long_histories_are_thinned():
    run = fastgd.fit(X, Y, lr=1e-3, epochs=20_000, batch_size=1, record="step", rng=0)
    assert len(run.history) == 1_000_001
    loss = run.history.loss
    (line,) = drawn(plot.loss_curve(run)).lines_
    x, y = line.get_data()
    assert len(x) <= 2_100
    assert (x[0], x[-1]) == (0, 1_000_000)
    np.testing.assert_array_equal(y, loss[x])
    assert (y.min(), y.max()) == (loss.min(), loss.max())
    for line in drawn(plot.parameter_path(run)).lines_:
        assert len(line.get_xdata()) <= 2_100
        np.testing.assert_array_equal(line.get_xdata()[:10], np.arange(10))
    assert len(drawn(plot.loss_surface(X, Y, run)).lines_[0].get_xdata()) <= 4_200


def test_many_rows_are_thinned():
    x, y = fastgd.datasets.make_line(n=200_000, rng=0)
    display = drawn(plot.fit_line(x, y, fastgd.fit(x, y, lr=0.01, epochs=2)))
    assert len(display.points_[0].get_offsets()) == 5000
    assert display.ax_.texts[0].get_text() == "5000 of 200000 rows"


def test_inputs_are_not_written_to():
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    coef, loss = RUN.history.coef.copy(), RUN.history.loss.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for draw in (
            lambda: plot.fit_line(x, y, RUN, [1]),
            lambda: plot.loss_surface(x, y, RUN),
            lambda: plot.residuals(x, y, RUN),
            lambda: plot.animate(x, y, RUN),
        ):
            drawn(draw())
    np.testing.assert_array_equal(RUN.history.coef, coef)
    np.testing.assert_array_equal(RUN.history.loss, loss)


def test_validation_loss_is_drawn_beside_the_loss():
    x, y = fastgd.datasets.make_line(rng=0)
    run = fastgd.fit(x[:80], y[:80], lr=0.01, epochs=30, X_val=x[80:], y_val=y[80:])
    display = plot.loss_curve(run)
    assert len(display.lines_) == 2
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), run.history.val_loss)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["full batch", "full batch, validation rows"]


STANDARDISED = {
    "points": fastgd.datasets.load_points(),
    "scaled": (1e3 * X + 50, Y),
    "outputs": (X, np.column_stack([Y, -Y])),
}


@pytest.mark.parametrize("name", STANDARDISED)
def test_standardised_runs_are_drawn_in_the_units_of_x(name):
    rows, y = STANDARDISED[name]
    run = fastgd.fit(rows, y, lr=0.1, epochs=200, standardize=True)
    keys = {"parameters": ((1, 0), (1, "intercept"))} if y.ndim == 2 else {}
    path, _, end, lowest = drawn(plot.loss_surface(rows, y, run, **keys)).lines_
    best = fastgd.closed_form(rows, y)
    at = (1,) if y.ndim == 2 else ()
    coef, intercept = run.history.coef[(..., *at, 0)], run.history.intercept[(..., *at)]
    np.testing.assert_array_equal(path.get_xydata(), np.column_stack([coef, intercept]))
    np.testing.assert_allclose(end.get_xydata(), lowest.get_xydata(), rtol=1e-4)
    np.testing.assert_allclose(lowest.get_xydata(), [[best.coef[(*at, 0)], np.asarray(best.intercept)[at]]], rtol=1e-8)


@pytest.mark.parametrize("size", [1e-150, 1e-9, 1e9, 1e150])
def test_numbers_of_any_size(size):
    x, y = fastgd.datasets.load_points()
    run = fastgd.fit(x, size * y, lr=1e-4, epochs=20)
    for draw in (plot.loss_surface, plot.fit_line, plot.residuals):
        drawn(draw(x, size * y, run))
    lowest = plot.loss_surface(x, size * y, run).lines_[-1].get_xydata()[0]
    np.testing.assert_allclose(lowest / size, [1.32243102, 7.99102099], rtol=1e-6)
    for draw in (plot.loss_curve, plot.parameter_path):
        drawn(draw(run))
    drawn(plot.animate(x, size * y, run))
    drawn(plot.lr_sweep(fastgd.sweep(x, size * y, [1e-6, 1e-4, 1.0], epochs=20)))


def test_a_loss_that_no_picture_holds_says_so():
    x, y = fastgd.datasets.load_points()
    display = drawn(plot.loss_curve(fastgd.fit(x, 1e150 * y, lr=1e-4, epochs=3)))
    assert display.ax_.texts[0].get_text() == "beyond what a picture can hold"


KINKED = ["absolute", "quantile", "epsilon_insensitive"]


@pytest.mark.parametrize("loss", KINKED)
def test_a_loss_with_kinks_is_not_a_corner(loss):
    x, y = fastgd.datasets.load_points()
    run = fastgd.fit(x, y, loss=loss)
    display = drawn(plot.loss_curve(run))
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), run.history.loss)
    assert display.ax_.get_ylabel().endswith(f"above {run.history.loss.min():.6g}, the lowest")
    heights = display.ax_.transAxes.inverted().transform(
        display.ax_.transData.transform(display.lines_[0].get_xydata())
    )
    assert heights[:, 1].min() >= -0.01
    assert heights[:, 1].max() <= 1.01
    assert np.ptp(heights[10:, 1]) > 0.2
    assert len(display.ax_.get_yticks()) >= 3
    lower = fastgd.fit(x, y, loss=loss, lr=0.01, epochs=50)  # on the same scale, whichever lies lower
    drawn(plot.loss_curve(lower, ax=display.ax_))
    assert display.ax_.get_yscale() == "function"


def test_a_run_that_falls_at_once_has_its_first_epochs_spread_out():
    x, y = fastgd.datasets.load_points()
    axes = drawn(plot.loss_curve(fastgd.fit(x, y, lr=1e-4, epochs=1000))).ax_
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "linear")
    assert plot.loss_curve(fastgd.fit(x, y, lr=1e-4, epochs=20)).ax_.get_xscale() == "linear"


def test_residuals_are_those():
    best = fastgd.closed_form(X, Y)
    display = drawn(plot.residuals(X, Y, best))
    raw = best.predict(X)
    np.testing.assert_allclose(display.points_[0].get_offsets(), np.column_stack([raw, Y - raw]), rtol=1e-12)
    assert display.lines_[-1].get_ydata() == [0.0, 0.0]


def test_the_trend_shows_what_a_line_can_not():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 5, 100_000)
    bent, straight = x**2 + rng.normal(0, 1, len(x)), 2 * x + rng.normal(0, 1, len(x))
    for y, most, least in ((bent, 6.0, 2.0), (straight, 0.2, 0.0)):
        display = drawn(plot.residuals(x, y, fastgd.closed_form(x, y)))
        assert least < np.abs(display.lines_[0].get_ydata()).max() < most
        assert len(display.points_[0].get_offsets()) == 5000
        assert display.ax_.texts[0].get_text() == "5000 of 100000 rows"


@pytest.mark.parametrize("n", [1, 2, 9, 30])
def test_residuals_of_few_or_of_none(n):
    x, y = fastgd.datasets.make_line(n=n, rng=0)
    for run in (fastgd.closed_form(x, y), fastgd.fit(x, y, lr=1e-3, epochs=1), fastgd.fit(x, 0 * y, lr=1e-3, epochs=1)):
        drawn(plot.residuals(x, run.predict(x) if run.loss == 0 else y, run))


def test_residuals_of_outputs_and_of_diverged_runs():
    y = np.column_stack([Y, -Y])
    display = drawn(plot.residuals(X, y, fastgd.closed_form(X, y)))
    assert len(display.points_) == 2
    assert [line.get_label() for line in display.lines_] == ["trend, output 0", "trend, output 1", "_zero"]
    run = fit_diverging(X, Y, lr=1.0, epochs=20)
    assert "diverged after" in drawn(plot.residuals(X, Y, run)).ax_.texts[-1].get_text()


SWEEPS = {
    "full batch": lambda: fastgd.sweep(X, Y, np.logspace(-5, 0, 40), epochs=30),
    "two rates": lambda: fastgd.sweep(X, Y, [1.0, 1e-3], epochs=100),
    "one": lambda: fastgd.sweep(X, Y, [1e-3], epochs=1),
    "equal ones": lambda: fastgd.sweep(X, Y, [1e-3, 1e-3], epochs=5),
    "all diverge": lambda: fastgd.sweep(X, Y, [1.0, 2.0], epochs=5),
    "hundreds": lambda: fastgd.sweep(X, Y, np.logspace(-200, 200, 500), epochs=3),
    "ends of float64": lambda: fastgd.sweep(X, Y, [1e-300, 1e-10, 1e-4, 1e300], epochs=30),
    "batches": lambda: fastgd.sweep(X, Y, np.logspace(-5, 0, 40), epochs=5, batch_size=5, rng=0),
    "kinks": lambda: fastgd.sweep(X, Y, np.logspace(-5, 0, 40), epochs=5, loss="absolute"),
    "nothing to do": lambda: fastgd.sweep(X, 0 * Y, np.logspace(-5, 0, 5), epochs=5),
    "outputs": lambda: fastgd.sweep(X, np.column_stack([Y, Y]), np.logspace(-5, 0, 40), epochs=5, l1=0.1),
    "beyond all numbers": lambda: fastgd.sweep(1e200 * X, Y, [1e-3, 1.0], epochs=2),
}


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("curves", [False, True])
def test_sweeps(name, curves):
    found = SWEEPS[name]()
    display = drawn(plot.lr_sweep(found, curves=curves))
    assert all(np.isfinite([*display.ax_.get_xlim(), *display.ax_.get_ylim()]))
    assert len(display.lines_) in ((min(8, len(found.lr)), 9) if curves else (2,))


@pytest.mark.parametrize("name", SWEEPS)
def test_names_in_a_sweep_do_not_cover_each_other(name):
    display = drawn(SWEEPS[name]().plot())
    boxes = [text.get_window_extent() for text in display.ax_.texts if text.get_text()]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i]), [text.get_text() for text in display.ax_.texts]


def test_rates_that_diverged_stand_on_the_edge_and_their_curves_are_seen():
    found = SWEEPS["all diverge"]()
    away = drawn(found.plot()).lines_[1]
    assert away.get_ydata().tolist() == [1.0, 1.0]
    assert away.get_transform() == away.axes.get_xaxis_transform()
    assert not away.get_clip_on()
    display = drawn(plot.lr_sweep(found, curves=True))
    low, high = display.ax_.get_ylim()
    for line in display.lines_:
        heights = np.asarray(line.get_ydata())
        assert ((heights > low) & (heights < high)).sum() >= 2


def test_a_sweep_shows_its_rates_and_where_they_are_stable():
    found = SWEEPS["full batch"]()
    display = drawn(found.plot())
    ends, away = display.lines_
    np.testing.assert_array_equal(ends.get_xdata(), found.lr)
    sound = np.isfinite(found.final)
    np.testing.assert_allclose(ends.get_ydata()[sound], (found.final - found.lowest)[sound], rtol=1e-9)
    np.testing.assert_array_equal(away.get_xdata(), found.lr[~sound])
    texts = [text.get_text() for text in display.ax_.texts]
    assert set(found.verdict) <= set(texts)
    assert f"stable below {found.lr_max:.4g}" in texts
    assert f"{found.rank}: {found.best:.3g}" in texts


ANIMATED = {
    "line": (X, Y, {"lr": 0.02, "epochs": 200}),
    "diverges": (X, Y, {"lr": 0.035, "epochs": 60}),
    "diverges at once": (X, Y, {"lr": 1e150, "epochs": 3}),
    "one epoch": (X, Y, {"lr": 0.02, "epochs": 1}),
    "steps": (X, Y, {"lr": 0.01, "epochs": 20, "batch_size": 7, "record": "step", "rng": 0}),
    "outputs": (X, np.column_stack([Y, -Y]), {"lr": 0.02, "epochs": 20}),
    "two features": (X2, Y2, {"lr": 0.1, "epochs": 20, "fit_intercept": False}),
    "features": (X2, Y2, {"lr": 0.1, "epochs": 20}),
    "features and outputs": (X2, np.column_stack([Y2, -Y2]), {"lr": 0.1, "epochs": 20}),
    "kinks": (X, Y, {"loss": "absolute"}),
    "one row": ([1.0], [2.0], {"lr": 0.1, "epochs": 3}),
}


@pytest.mark.filterwarnings("ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize("name", ANIMATED)
def test_animations_move_with_the_records(name):
    rows, y, options = ANIMATED[name]
    run = fastgd.fit(rows, y, **options)
    display = plot.animate(rows, y, run)
    assert display.records_[0] == 0
    assert len(display.records_) <= 60
    assert (display.records_[-1] == len(run.history) - 1) or run.status == "diverged"
    head = display.lines_[-1]
    for record in (display.records_[0], display.records_[-1]):
        display._show(record)
        if run.coef.shape == (1,):
            ends = np.array([np.min(rows), np.max(rows)])
            line = display.lines_[0]
            expected = run.history.coef[record, 0] * np.array(line.get_xdata()) + run.history.intercept[record]
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert head.get_xydata().tolist() == [[run.history.coef[record, 0], run.history.intercept[record]]]
            assert line.get_xdata()[0] <= ends[0]
        elif run.coef.ndim == 1:
            raw = rows @ run.history.coef[record] + run.history.intercept[record]
            np.testing.assert_allclose(display.lines_[0].get_ydata(), raw)
    drawn(display)


@pytest.mark.filterwarnings("ignore::fastgd.DivergenceWarning")
@pytest.mark.parametrize(("lr", "records"), [(1e-3, [0, 1, 2, 3]), (4.1e-4, None), (0.1, [0, 1]), (1e150, [0])])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_divergence_is_seen_and_stays_in_the_picture(lr, records, outputs):
    x, y = fastgd.datasets.load_points()
    y = y if outputs == 1 else np.column_stack([y, -y])
    run = fastgd.fit(x, y, lr=lr, epochs=200)
    display = drawn(plot.animate(x, y, run))
    assert records in (display.records_, None)
    assert len(display.records_) > 1 or lr == 1e150
    for record in display.records_:
        display._show(record)
        for line in [*display.lines_[:outputs], display.lines_[-1]]:
            (left, right), (low, high) = line.axes.get_xlim(), line.axes.get_ylim()
            points = np.asarray(line.get_xydata())
            assert (points >= [left, low]).all()
            assert (points <= [right, high]).all()


def test_few_frames_are_shown_longer(tmp_path):
    from PIL import Image

    for epochs, least in ((3, 500), (100, 100)):
        plot.animate(X, Y, fastgd.fit(X, Y, lr=0.01, epochs=epochs), tmp_path / "run.gif")
        with Image.open(tmp_path / "run.gif") as image:
            assert least <= image.info["duration"] <= 2 * least


@pytest.mark.parametrize("options", [{}, {"lr": 0.3, "epochs": 40, "standardize": True}])
def test_rounding_is_no_picture(options):
    constant, line = np.full(len(X), 5.0), 3 * X + 1
    run = fastgd.fit(X, constant, **options)
    for axes in (plot.loss_surface(X, constant, run).ax_, plot.animate(X, constant, run).right_):
        assert np.diff(axes.get_xlim()) > 1e-3
        assert np.diff(axes.get_ylim()) > 1
    for y in (constant, line, 1e-100 * line):
        display = drawn(plot.residuals(X, y, fastgd.closed_form(X, y)))
        assert len(display.lines_[0].get_xdata()) == 0
        assert np.diff(display.ax_.get_ylim()) == pytest.approx(2e-12 * np.abs(y).max())
        assert [text.get_text() for text in display.ax_.texts] == ["0 but for rounding"]
        assert display.ax_.get_legend() is None


@pytest.mark.parametrize("ending", [".gif", ".html", ".HTM"])
def test_animations_are_saved_whole(ending, tmp_path):
    path = tmp_path / f"run{ending}"
    path.write_text("what was there")
    display = plot.animate(X, Y, RUN, path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    content = path.read_bytes()
    assert 10_000 < len(content) < 2_000_000
    if ending == ".gif":
        from PIL import Image

        with Image.open(path) as image:
            assert image.n_frames == len(display.records_)
            assert image.info["loop"] == 0
    else:
        text = content.decode()
        assert text.startswith("<!doctype html>")
        assert text.count("data:image/png;base64,") == len(display.records_) + 1
        assert "http" not in text
    assert plt.fignum_exists(display.figure_.number)


def test_an_animation_shows_itself_in_notebooks_and_leaves_the_figure_as_it_was():
    figure, axes = plt.subplots(1, 2, dpi=123)
    canvas = figure.canvas
    display = plot.animate(X, Y, RUN, ax=axes)
    text = display._repr_html_()
    assert text.count("data:image/png;base64,") == len(display.records_) + 1
    assert (figure.canvas, figure.dpi) == (canvas, 123)
    assert [ax.title.get_alpha() for ax in axes] == [None, None]
    assert all(line.get_visible() for line in display.lines_)
    assert (display.ax_, display.right_, display.figure_) == (*axes, figure)
    assert type(display.animation).__mro__[1].__name__ == "FuncAnimation"


def test_a_film_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "run.gif"
    path.write_text("what was there")

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("PIL.Image.Image.save", fail)
    with pytest.raises(KeyboardInterrupt):
        plot.animate(X, Y, RUN, path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["what was there"]
