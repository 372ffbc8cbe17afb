"""The door: every type and layout gives the same bits, every wrong request is told by name, nothing is changed."""

from __future__ import annotations

import decimal
import fractions
import multiprocessing
import numbers
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgd
from conftest import make_problem
from fastgd import _core

X, Y = make_problem("mse")
N, D = X.shape


def fit(X=X, y=Y, **options):
    return fastgd.fit(X, y, **({"lr": 0.05, "epochs": 3, "batch_size": 7, "rng": 0} | options))


def strided(values, steps):
    """`values` in the middle of a buffer of garbage, every axis with a step of its own."""
    sizes = [abs(step) * size + 2 for step, size in zip(steps, values.shape, strict=True)]
    buffer = np.full(sizes, np.nan, values.dtype)
    view = buffer[
        tuple(slice(1, 1 + abs(step) * size, abs(step)) for step, size in zip(steps, values.shape, strict=True))
    ]
    view = view[tuple(slice(None, None, np.sign(step)) for step in steps)]
    view[...] = values
    return view


def misaligned(values):
    raw = np.zeros(values.nbytes + 1, np.uint8)
    view = raw[1:].view(values.dtype).reshape(values.shape)
    view[...] = values
    assert not view.flags.aligned
    return view


def packed_field(values):
    table = np.zeros(values.shape, np.dtype([("tag", "i1"), ("value", values.dtype)]))
    table["value"] = values
    return table["value"]


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


def mapped(values, folder):
    file = folder / f"{len(list(folder.iterdir()))}.bin"
    values.tofile(file)
    return np.memmap(file, values.dtype, "r", shape=values.shape)


LAYOUTS = {
    "c": lambda values, _: values.copy(),
    "fortran": lambda values, _: np.asfortranarray(values),
    "steps 3": lambda values, _: strided(values, (3,) * values.ndim),
    "steps -4": lambda values, _: strided(values, (-4,) * values.ndim),
    "steps 1 and -3": lambda values, _: strided(values, (1, -3)[-values.ndim :]),
    "byte-swapped": lambda values, _: values.astype(values.dtype.newbyteorder()),
    "misaligned": lambda values, _: misaligned(values),
    "packed field": lambda values, _: packed_field(values),
    "read-only": lambda values, _: read_only(values),
    "memory-mapped": mapped,
    "list": lambda values, _: values.tolist(),
    "object": lambda values, _: values.astype(object),
    "longdouble": lambda values, _: values.astype(np.longdouble),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_layout_gives_the_same_bits(layout, dtype, tmp_path):
    rows = X.astype(dtype)
    expected = fit(rows)
    weight = np.arange(N, dtype=float)
    weighted = fit(rows, sample_weight=weight)
    laid = LAYOUTS[layout](rows, tmp_path)
    before = None if isinstance(laid, list) else laid.copy()
    got = fit(laid, LAYOUTS[layout](Y, tmp_path))
    assert got.coef.tobytes() == expected.coef.tobytes()
    assert got.history.coef.tobytes() == expected.history.coef.tobytes()
    assert fit(rows, sample_weight=LAYOUTS[layout](weight, tmp_path)).coef.tobytes() == weighted.coef.tobytes()
    if before is not None:
        np.testing.assert_array_equal(laid, before)
        np.testing.assert_array_equal(got.predict(laid), got.predict(rows))


SEED = int(os.environ.get("FASTGD_TEST_SEED", "0"))
#: about the number of features from which kernels go another way
WIDTHS = [1, 2, 4, 5, 8, 9, 16, 17, 40, 41, 48, 49, 64, 65, 100, 128, 129]
RUNS = {
    "statistics": {},
    "rows": {"lr": 0.001, "epochs": 3, "engine": "rows"},
    "one row": {"lr": 0.001, "epochs": 3, "batch_size": 1},
    "one row, implicit": {"lr": 0.001, "epochs": 3, "batch_size": 1, "optimizer": "implicit", "average": "tail"},
    "few rows": {"lr": 0.001, "epochs": 3, "batch_size": 7},
    "standard": {"lr": 0.001, "epochs": 3, "batch_size": 5, "standardize": True},
}


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("run", RUNS)
def test_the_same_numbers_give_the_same_bits(run, outputs):
    """In float32 or float64, by rows or by columns, a few rows or as many as are packed."""
    rng = np.random.default_rng(SEED)
    for d in WIDTHS:
        rows = rng.standard_normal((300 if d > 1 else 70_000, d)).astype(np.float32)
        targets = rows.astype(np.float64) @ rng.standard_normal((d, outputs))
        y = targets[:, 0] if outputs == 1 else targets
        laid = (rows, rows.astype(np.float64), np.asfortranarray(rows), np.asfortranarray(rows.astype(np.float64)))
        ends = [fastgd.fit(X, y, rng=1, **RUNS[run]) for X in laid]
        for end in ends[1:]:
            assert end.coef.tobytes() == ends[0].coef.tobytes(), (d, run)
            assert (end.loss, np.all(end.intercept == ends[0].intercept)) == (ends[0].loss, True)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "uint64"])
def test_other_numbers_become_float64(dtype):
    values = (np.abs(X) * 3).clip(max=2).astype(dtype)
    assert fit(values).coef.tobytes() == fit(values.astype(np.float64)).coef.tobytes()
    assert fit(X, values[:, 0]).coef.tobytes() == fit(X, values[:, 0].astype(np.float64)).coef.tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", ">f8"])
def test_zero_strides_give_the_same_bits(dtype):
    row, column = X[0].astype(dtype), X[:, :1].astype(dtype)
    for laid in (np.broadcast_to(row, X.shape), np.broadcast_to(column, X.shape), np.broadcast_to(row[0], X.shape)):
        assert fit(laid).coef.tobytes() == fit(laid.copy()).coef.tobytes()
        assert fit(y=laid).coef.tobytes() == fit(y=laid.copy()).coef.tobytes()
    one = np.broadcast_to(np.array(2.0, dtype), N)
    assert fit(y=one, sample_weight=one).coef.tobytes() == fit(y=one.copy(), sample_weight=one.copy()).coef.tobytes()


layouts = st.tuples(
    st.sampled_from(["f8", "f4", "f2", "i8", "u1", "g"]),
    st.sampled_from("<>"),
    st.tuples(*[st.integers(1, 4) | st.integers(-4, -1)] * 2),
    st.permutations([0, 1]),
    st.integers(0, 3),
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(layouts)
def test_any_layout_gives_the_same_bits(drawn):
    kind, order, steps, axes, offset = drawn
    values = (8 * np.abs(X)).astype(np.dtype(kind).newbyteorder(order))
    shape = tuple(abs(step) * size for step, size in zip(steps, np.transpose(values, axes).shape, strict=True))
    raw = np.zeros(offset + values.itemsize * shape[0] * shape[1], np.uint8)
    laid = raw[offset:].view(values.dtype).reshape(shape)[:: steps[0], :: steps[1]].transpose(axes)
    laid[...] = values
    plain = values.astype(np.float32 if kind == "f4" else np.float64)
    assert fit(laid, lr=1e-4).history.coef.tobytes() == fit(plain, lr=1e-4).history.coef.tobytes()
    assert fit(y=laid).history.coef.tobytes() == fit(y=plain).history.coef.tobytes()


def test_objects_are_taken_if_all_are_real():
    mixed = np.array([[1, 2.5], [True, np.float32(0.5)], [fractions.Fraction(1, 4), decimal.Decimal(3)]], dtype=object)
    assert fit(mixed, [1, 2, 3]).coef.tobytes() == fit(mixed.astype(float), [1, 2, 3]).coef.tobytes()


class Answers:
    """An array of somebody else that answers NumPy, or raises."""

    def __init__(self, answer):
        self.answer = answer

    def __array__(self, *args, **kwargs):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Odd(numbers.Number):
    """A number that is none."""

    __hash__ = None


nan_at = X.copy()
nan_at[4, 1] = np.nan
nan_at[2, 2] = -np.inf

REFUSED = {
    "nan": ({"X": nan_at}, ValueError, r"X must be finite, got -inf in row 2, column 2"),
    "nan fortran": ({"X": np.asfortranarray(nan_at)}, ValueError, r"X must be finite, got -inf in row 2, column 2"),
    "nan f32": ({"X": nan_at.astype(np.float32)}, ValueError, r"row 2, column 2"),
    "nan y": ({"y": np.where(np.arange(N) == 5, np.nan, Y)}, ValueError, r"y must be finite, got nan in row 5"),
    "inf longdouble": ({"X": X.astype(np.longdouble) * np.longdouble("1e4000")}, ValueError, "X must be finite"),
    "no rows": ({"X": X[:0], "y": Y[:0]}, ValueError, r"X must be \(n, d\).*got shape \(0, 3\)"),
    "no features": ({"X": X[:, :0]}, ValueError, r"X must be \(n, d\).*got shape \(60, 0\)"),
    "0-d": ({"X": 3.0}, ValueError, r"X must be \(n, d\).*got shape \(\)"),
    "3-d": ({"X": X[None]}, ValueError, r"X must be \(n, d\).*got shape \(1, 60, 3\)"),
    "short y": ({"y": Y[:-1]}, ValueError, "y must have one entry for each of the 60 rows of X, got 59"),
    "3-d y": ({"y": Y[:, None, None]}, ValueError, r"y must be \(n,\) or \(n, K\)"),
    "no outputs": ({"y": np.zeros((N, 0))}, ValueError, r"y must be \(n,\) or \(n, K\)"),
    "0-d y": ({"y": 1.0}, ValueError, r"y must be \(n,\) or \(n, K\)"),
    "ragged": ({"X": [[1.0, 2.0], [3.0]]}, ValueError, "X must be a rectangular array"),
    "complex": ({"X": X + 1j}, TypeError, "X must hold real numbers, got dtype complex128"),
    "str": ({"X": X.astype(str)}, TypeError, "X must hold real numbers, got dtype <U"),
    "bytes": ({"y": Y.astype("S5")}, TypeError, "y must hold real numbers"),
    "datetime": ({"X": np.zeros((N, 1), "M8[s]")}, TypeError, "X must hold real numbers, got dtype datetime64"),
    "timedelta": ({"X": np.zeros((N, 1), "m8[s]")}, TypeError, "X must hold real numbers"),
    "structured": ({"X": np.zeros(N, [("a", float)])}, TypeError, "X must hold real numbers"),
    "masked": ({"X": np.ma.masked_array(X, X > 1)}, TypeError, "X must not be a masked array"),
    "None": ({"X": None}, TypeError, "X must hold real numbers, got NoneType"),
    "dict": ({"X": {"a": 1}}, TypeError, "X must hold real numbers, got dict"),
    "object": (
        {"X": np.array([[1.0, "a"]] * N, dtype=object)},
        TypeError,
        r"X must hold real numbers, got 'a' \(str\) in row 0, column 1$",
    ),
    "answer 3-d": ({"X": Answers(X[None])}, ValueError, r"X must be \(n, d\).*got shape \(1, 60, 3\)"),
    "answer 0-d": ({"X": Answers(np.array(1.0))}, ValueError, r"X must be \(n, d\).*got shape \(\)"),
    "answer str": ({"X": Answers(X.astype(str))}, TypeError, "X must hold real numbers, got dtype <U"),
    "answer none": ({"X": Answers(None)}, ValueError, "X must be a rectangular array"),
    "answer TypeError": ({"X": Answers(TypeError("on a device"))}, TypeError, "X must .* got Answers: on a device"),
    "answer ValueError": ({"y": Answers(ValueError("no"))}, ValueError, "y must be a rectangular array of numbers: no"),
    "object odd": ({"y": np.array([Odd(), *Y[1:]], dtype=object)}, TypeError, "y must hold numbers that fit a float64"),
    "object None": ({"y": [None, *Y[1:]]}, TypeError, r"y must hold real numbers, got None \(NoneType\) in row 0"),
    "object complex": ({"y": np.array([1j, *Y[1:]], dtype=object)}, TypeError, "y must hold real numbers"),
    "signal": ({"y": [decimal.Decimal("sNaN"), *Y[1:]]}, ValueError, "y must hold numbers that fit a float64"),
    "huge int": ({"y": [10**400, *Y[1:]]}, ValueError, "y must hold numbers that fit a float64"),
    "weights length": ({"sample_weight": [1.0]}, ValueError, "sample_weight must have one entry for each"),
    "weights negative": ({"sample_weight": -np.ones(N)}, ValueError, "sample_weight must be >= 0, got -1 in row 0"),
    "weights zero": ({"sample_weight": np.zeros(N)}, ValueError, "sample_weight must have a finite sum > 0"),
    "weights nan": ({"sample_weight": np.full(N, np.nan)}, ValueError, "sample_weight must be finite"),
    "weights overflow": ({"sample_weight": np.full(N, 1e308)}, ValueError, "sample_weight must have a finite sum > 0"),
    "lr 0": ({"lr": 0}, ValueError, 'lr must be a finite number > 0 or "auto", got 0'),
    "lr nan": ({"lr": float("nan")}, ValueError, 'lr must be a finite number > 0 or "auto", got nan'),
    "lr inf": ({"lr": np.inf}, ValueError, 'lr must be a finite number > 0 or "auto", got inf'),
    "lr str": ({"lr": "fast"}, TypeError, "lr must be a finite number > 0 or \"auto\", got 'fast'"),
    "lr bool": ({"lr": True}, TypeError, 'lr must be a finite number > 0 or "auto", got True'),
    "lr None": ({"lr": None}, TypeError, "lr must be"),
    "lr array": ({"lr": np.array([0.1])}, TypeError, "lr must be"),
    "epochs 0": ({"epochs": 0}, ValueError, 'epochs must be an integer >= 1 or "auto", got 0'),
    "epochs float": ({"epochs": 1.5}, TypeError, 'epochs must be an integer >= 1 or "auto", got 1.5'),
    "epochs huge": ({"epochs": 2**63}, ValueError, "epochs must be an integer >= 1"),
    "epochs bool": ({"epochs": True}, TypeError, "epochs must be"),
    "batch 0": ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1, got 0"),
    "batch -1": ({"batch_size": -1}, ValueError, "batch_size must be an integer >= 1, got -1"),
    "batch str": ({"batch_size": "all"}, TypeError, "batch_size must be an integer >= 1, got 'all'"),
    "shuffle": ({"shuffle": "twice"}, ValueError, "shuffle must be True, False or \"once\", got 'twice'"),
    "loss": ({"loss": "mea"}, ValueError, "loss must be one of 'mse', 'half_mse', 'sse'.*, got 'mea'"),
    "loss type": ({"loss": 3}, TypeError, "loss must be a name or"),
    "loss parameter": ({"loss": ("mse", {"a": 1})}, ValueError, "loss 'mse' must be given without parameters, got 'a'"),
    "loss value": ({"loss": ("mse", {"a": "b"})}, TypeError, "a of loss 'mse' must be a finite number, got 'b'"),
    "optimizer": ({"optimizer": "sdg"}, ValueError, "optimizer must be one of 'sgd'.*got 'sdg'"),
    "schedule": ({"schedule": "never"}, ValueError, "schedule must be one of 'constant'.*got 'never'"),
    "l1": ({"l1": -1}, ValueError, "l1 must be a finite number >= 0, got -1"),
    "l2": ({"l2": np.inf}, ValueError, "l2 must be a finite number >= 0, got inf"),
    "fit_intercept": ({"fit_intercept": "no"}, TypeError, "fit_intercept must be True or False, got 'no'"),
    "init": ({"init": "ones"}, ValueError, "init must be \"zeros\".*got 'ones'"),
    "init number": ({"init": 0.5}, ValueError, "init must be"),
    "init law": ({"init": ("uniform", 1.0)}, ValueError, "init must be"),
    "init std": ({"init": ("normal", -1)}, ValueError, "std of init must be a finite number >= 0, got -1"),
    "init coef": ({"init": ([1.0], 0.0)}, ValueError, r"coef of init must have shape \(3,\), got \(1,\)"),
    "init intercept": ({"init": ([1.0] * 3, [0.0])}, ValueError, r"intercept of init must have shape \(\)"),
    "init list": ({"init": ["uniform", 1.0]}, ValueError, "init must be"),
    "init intercept nan": ({"init": ([1.0] * 3, np.nan)}, ValueError, "intercept of init must be finite, got nan"),
    "shuffle array": ({"shuffle": np.array([1, 2])}, ValueError, "shuffle must be"),
    "weights tiny": ({"sample_weight": np.full(N, 1e-320)}, ValueError, "sample_weight must have a finite sum > 0"),
    "epochs 10**400": (
        {"epochs": 10**400},
        ValueError,
        r"epochs must be an integer >= 1 below 2\*\*63 or \"auto\", got 1000+\.\.\.0+$",
    ),
    "init nan": ({"init": ([np.nan] * 3, 0.0)}, ValueError, "coef of init must be finite"),
    "init no intercept": (
        {"init": ([1.0] * 3, 1.0), "fit_intercept": False},
        ValueError,
        "intercept of init must be 0",
    ),
    "tol": ({"tol": -1e-3}, ValueError, "tol must be a finite number >= 0"),
    "patience": ({"patience": 0}, ValueError, "patience must be an integer >= 1"),
    "record": (
        {"record": "always"},
        ValueError,
        'record must be "epoch", "step", an integer >= 1 or None, got \'always\'',
    ),
    "record 0": ({"record": 0}, ValueError, "record must be an integer >= 1, got 0"),
    "exact_loss": ({"exact_loss": 1}, TypeError, "exact_loss must be True or False, got 1"),
    "engine": ({"engine": "cols"}, ValueError, "engine must be .auto., .rows. or .gram., got 'cols'"),
    "engine batched": ({"engine": "gram"}, ValueError, "engine must be .rows. or .auto. in batches, got .gram."),
    "engine loss": ({"engine": "gram", "batch_size": None, "loss": "huber"}, ValueError, "for loss 'huber'"),
    "epochs linear": ({"epochs": "auto", "schedule": "linear"}, ValueError, "epochs must be a number for schedule"),
    "standardize": ({"standardize": 1}, TypeError, "standardize must be True, False or .auto., got 1"),
    "rng": ({"rng": "seed"}, TypeError, "rng must be"),
    "rng -1": ({"rng": -1}, ValueError, "rng must be"),
    "callback": ({"callback": 3}, TypeError, "callback must be callable or None, got 3"),
    "progress": ({"progress": 1}, TypeError, "progress must be True or False, got 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_requests_are_told_by_name(case):
    options, error, message = REFUSED[case]
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    with pytest.raises(error, match=message):
        fit(**({"rng": rng} | options))
    assert rng.bit_generator.state == state, "a refused request draws nothing"


def test_unknown_arguments_are_a_type_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rate'"):
        fit(learning_rate=0.1)


def test_exceptions_of_foreign_arrays_come_out_with_a_note():
    error = OSError("not today")
    with pytest.raises(OSError, match="not today") as caught:
        fit(y=Answers(error))
    assert caught.value is error
    assert error.__notes__ == ["raised when fastgd read y"]


def test_inputs_are_neither_changed_nor_kept_alive():
    rows, y, weight = X.copy(), Y.copy(), np.ones(N)
    counts = [sys.getrefcount(array) for array in (rows, y, weight)]
    result = fit(rows, y, sample_weight=weight, init=(np.zeros(D), 0.0))
    for options in (
        {},
        {"batch_size": 8},
        {"standardize": True},
        {"engine": "gram", "batch_size": None},
        {"lr": "auto"},
    ):
        for _ in range(200):
            fit(rows, y, sample_weight=weight, **options)
    with pytest.raises(ValueError, match="lr must be"):
        fit(rows, y, lr=-1.0)
    assert [sys.getrefcount(array) for array in (rows, y, weight)] == counts
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(y, Y)
    assert result.coef.base is None or result.coef.base is not rows


def test_extreme_magnitudes_end_in_a_status():
    with np.errstate(all="raise"):
        for scale in (1e-300, 1e-160):
            assert fastgd.fit(X * scale, Y, lr=0.1, epochs=3).status == "max_epochs"
        for scale in (1e100, 1e160, 1e300):
            with pytest.warns(fastgd.DivergenceWarning):
                result = fastgd.fit(X * scale, Y, lr=0.1, epochs=3)
            assert result.status == "diverged"
            assert np.isfinite(result.coef).all()
        with pytest.warns(fastgd.DivergenceWarning):
            assert fastgd.fit(X, Y * 1e300, lr=0.1, epochs=3).status == "diverged"


def in_a_process(code, *, interrupt=False):
    """Run code that ends only if fastgd looks up; a hang is ended from outside."""
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + textwrap.dedent(code)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            first = child.stdout.readline()
            if interrupt:
                time.sleep(0.3)  # to be well inside the run; too early would do no harm
                child.send_signal(signal.SIGINT)
            rest, errors = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return first + rest, errors


HOURS = "lr=1e-6, epochs=10**6, record=None, shuffle=False, engine='rows'"


@pytest.mark.skipif(os.name == "nt", reason="signals are others there")
@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("batch_size=None", (200_000, 20)),
        ("batch_size=1", (200_000, 20)),
        ("batch_size=64", (200_000, 20)),
        ("batch_size=64, shuffle=True", (200_000, 20)),
        ("batch_size=1, shuffle=True", (200_000, 20)),
        ("batch_size=32, standardize=True", (200, 20_000)),
    ],
)
def test_ctrl_c_ends_a_run(options, shape):
    code = f"""
        import fastgd, numpy as np
        rows = np.random.default_rng(0).random({shape})
        print("running", flush=True)
        try:
            fastgd.fit(rows, rows[:, 0], **(dict({HOURS}) | dict({options})))
        except KeyboardInterrupt:
            print("interrupted")
    """
    said, errors = in_a_process(code, interrupt=True)
    assert said.split() == ["running", "interrupted"], errors


def test_the_interpreter_is_released():
    code = f"""
        import os, threading, fastgd, numpy as np
        rows = np.ones((100_000, 20))
        def alive():
            print("alive", flush=True)
            os._exit(0)
        threading.Timer(0.2, alive).start()
        fastgd.fit(rows, rows[:, 0], {HOURS})
    """
    said, errors = in_a_process(code)
    assert said.split() == ["alive"], errors


@pytest.mark.parametrize("options", [{}, {"batch_size": 8}, {"batch_size": 1}, {"lr": 0.05, "epochs": 50}], ids=str)
def test_eight_threads_at_once_give_the_same_bits(options):
    def fitted():
        return fastgd.fit(X, Y, rng=0, **options).coef.tobytes()

    expected, got = fitted(), [b""] * 8

    def work(k):
        got[k] = fitted()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(got) == {expected}


def _in_child(queue):
    queue.put(fit().coef.tobytes())


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children_fit_after_use_as_their_parent_did(method):
    expected = fit().coef.tobytes()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell resident memory")
def test_a_thousand_fits_leak_nothing():
    wide = np.ones((20, 1000))

    def resident():
        with open("/proc/self/statm") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(100):
        fit(wide, wide[:, 0], lr=1e-6)
    before = resident()
    for _ in range(1000):
        fit(wide, wide[:, 0], lr=1e-6)
    grown = resident() - before
    assert grown < 8 << 20, f"{grown} bytes, where the histories alone held 24 MB"


def test_import_needs_numpy_alone():
    code = """
        import sys, numpy
        before = set(sys.modules)
        import fastgd
        ours = {name for name in set(sys.modules) - before if not name.startswith("fastgd")}
        top = {name.split(".")[0] for name in ours} - set(sys.stdlib_module_names) - {"numpy"}
        assert not top, top
        assert "fastgd.reference" not in sys.modules and "fastgd.plot" not in sys.modules
        print(fastgd.compare([1.0, 2.0, 3.0], [1.0, 2.0, 2.5], lr=0.01, epochs=10).max_difference)
        optional = {"matplotlib", "pandas", "polars", "pyarrow", "scipy", "sklearn"}
        assert not {name.split(".")[0] for name in sys.modules} & optional
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-12


@pytest.mark.parametrize("options", [{}, {"lr": 1e-3, "epochs": 3, "engine": "rows"}, {"loss": "huber"}])
def test_any_number_of_threads_gives_the_same_bits(options):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200_000, 7))
    y = rows @ np.arange(7) + rng.standard_normal(len(rows))
    found = [fastgd.fit(rows, y, threads=threads, **options) for threads in (1, 2, 5, None)]
    for other in found[1:]:
        assert other.coef.tobytes() == found[0].coef.tobytes()
        assert other.history.loss.tobytes() == found[0].history.loss.tobytes()
    by_columns = fastgd.fit(np.asfortranarray(rows), y, **options)
    assert by_columns.history.coef.tobytes() == found[0].history.coef.tobytes()


#: shuffled, and brought together where rows are many; (features, outputs)
BROUGHT = {
    "single rows": ({"batch_size": 1}, (7, 1)),
    "single rows, implicit": ({"batch_size": 1, "lr": "auto"}, (7, 1)),
    "single rows, every ninth recorded": ({"batch_size": 1, "record": 9}, (20, 1)),
    "single rows of one number": ({"batch_size": 1}, (1, 1)),
    "single rows, two outputs": ({"batch_size": 1}, (7, 2)),
    "longer single rows": ({"batch_size": 1, "average": "tail"}, (61, 1)),
    "batches": ({"batch_size": 48}, (7, 1)),
    "uneven batches, every fifth recorded": ({"batch_size": 13, "record": 5}, (3, 1)),
    "batches, two outputs": ({"batch_size": 48}, (7, 2)),
    "batches, momentum": ({"batch_size": 48, "optimizer": "momentum", "l2": 0.1}, (7, 1)),
    "batches with a kink": ({"batch_size": 5, "loss": "absolute", "average": "tail"}, (40, 1)),
    "large batches": ({"batch_size": 20_000}, (7, 1)),
    "longer rows than are brought": ({"batch_size": 32}, (300, 1)),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("options", "size"), BROUGHT.values(), ids=BROUGHT)
def test_rows_on_their_way_are_the_rows_whoever_brings_them(options, size, weighted):
    rng, (d, outputs) = np.random.default_rng(0), size
    n = 2 * (1 << 20) // (8 * d) + 5
    rows, y = rng.standard_normal((n, d)), rng.standard_normal((n, outputs))
    given = {"lr": 1e-4, "epochs": 3, "sample_weight": rng.random(n) if weighted else None, **options}
    layouts = {"C": rows, "F": np.asfortranarray(rows), "half": rows.astype(np.float32), "whole": None}
    layouts["whole"] = layouts["half"].astype(np.float64)

    def bits(X, threads):
        result = fastgd.fit(X, y if outputs > 1 else y[:, 0], rng=3, threads=threads, **given)
        return result.coef.tobytes(), result.history.loss.tobytes(), result.loss

    expected = bits(rows, 1)
    assert all(bits(layouts[order], threads) == expected for order, threads in [("C", 2), ("C", 5), ("F", 1), ("F", 2)])
    assert bits(layouts["half"], 2) == bits(layouts["whole"], 1)


SOON = {name: case for name, case in BROUGHT.items() if case[0]["batch_size"] > 10}


@pytest.mark.parametrize(("options", "size"), SOON.values(), ids=SOON)
def test_rows_on_their_way_take_the_reference_s_path(options, size):
    d, outputs = size
    rng, n = np.random.default_rng(1), (1 << 20) // (8 * d) + 3
    rows, y = rng.standard_normal((n, d)), rng.standard_normal((n, outputs))
    given = {"lr": 1e-3, "epochs": 1, "rng": 5, **options}
    found, expected = (fit(rows, y, **given) for fit in (fastgd.fit, fastgd.reference.fit))
    for ours, theirs in ((found.coef, expected.coef), (found.history.loss, expected.history.loss)):
        assert np.abs(ours - theirs).max() <= 1e-9 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("threads", "error", "told"),
    [(0, ValueError, "threads must be an integer >= 1, got 0"), (2.0, TypeError, "threads must be an integer")],
)
def test_threads_are_a_count(threads, error, told):
    with pytest.raises(error, match=told):
        fit(X, threads=threads)


KERNELS = """
import numpy as np, fastgd
from fastgd import _core
rng = np.random.default_rng(0)
for d in (1, 3, 10, 20, 100):
    X = rng.standard_normal((300, d))
    y = X.sum(axis=1) + rng.standard_normal(300)
    for options in ({"batch_size": 32}, {"batch_size": 1}, {}, {"engine": "rows", "loss": "huber"}):
        found = fastgd.compare(X, y, lr=0.001, epochs=3, rng=1, **options)
        assert found.max_difference < 1e-10, (d, options, found)
    np.testing.assert_allclose(fastgd.fit(X, y).coef, fastgd.closed_form(X, y).coef, rtol=1e-8)
print(_core.kernel())
"""


@pytest.mark.parametrize("kernel", ["naive", "baseline", "avx2", "avx512"])
def test_the_reference_agrees_on_every_set_of_kernels(kernel):
    done = subprocess.run(
        [sys.executable, "-c", KERNELS], capture_output=True, text=True, env=os.environ | {"FASTGD_KERNEL": kernel}
    )
    if "on this machine" in done.stderr and kernel in ("avx2", "avx512"):
        pytest.skip(f"the processor has no {kernel}")
    assert (done.stdout.strip(), done.stderr) == (kernel, "")


def test_a_kernel_there_is_not_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "fastgd", "fit", "points"],
        capture_output=True,
        text=True,
        env=os.environ | {"FASTGD_KERNEL": "x"},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fastgd: FASTGD_KERNEL must be one of naive, baseline")
    assert done.stderr.count("\n") == 1


SHORT_OF_MEMORY = """
import resource, sys
import numpy as np, fastgd
rng = np.random.default_rng(0)
rows, column = rng.standard_normal((12_000, 1000)), np.ones((4_000_000, 1), np.float32)
y, wide = rows[:, 0].copy(), np.ones((500_000, 2))
many = fastgd.closed_form(rng.standard_normal((50, 2)), rng.standard_normal((50, 150)))
work = {
    "a permutation": lambda: fastgd.fit(column, column[:, 0], epochs=2, lr=1e-3, batch_size=1000, rng=0, threads=1),
    "statistics": lambda: fastgd.fit(rows, y, lr=1e-6, epochs=3, engine="gram", threads=1),
    "predictions": lambda: many.predict(wide),
    "wide batches": lambda: fastgd.fit(
        rows.reshape(600, -1), y[:600], lr=1e-6, epochs=2, batch_size=32, standardize=True, rng=0, threads=1
    ),
    "many targets": lambda: fastgd.fit(
        column[:100_000], rows.reshape(100_000, -1), lr=1e-6, epochs=2, batch_size=49_999, rng=0, threads=1
    ),
}[sys.argv[1]]
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]) * 2**20,) * 2)
try:
    work()
except MemoryError:
    print("MemoryError")
else:
    print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited so on Linux")
@pytest.mark.parametrize("work", ["a permutation", "statistics", "predictions", "wide batches", "many targets"])
@pytest.mark.parametrize("more", [12, 33, 36, 57])
def test_too_little_memory_is_a_memory_error(work, more):
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, work, str(more)],
        capture_output=True,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stdout.strip() in ("MemoryError", "done")) == (0, True), done.stderr


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"engine": "gram", "lr": 0.1, "epochs": 2},
        {"engine": "rows"},
        {"lr": 0.1, "epochs": 1},
        {"lr": 0.1, "epochs": 1, "batch_size": 32},
        {"batch_size": 32, "epochs": 1},
        {"init": ("normal", 1.0), "batch_size": 32},
        {"loss": "hinge"},
        {"loss": "absolute", "lr": 0.1, "epochs": 1, "standardize": True},
        {"sample_weight": np.ones(70_000)},
    ],
    ids=str,
)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_large_array_is_refused_whichever_pass_sees_it_first(options, wrong):
    X, generator = np.ones((70_000, 2)), np.random.default_rng(3)
    X[:, 1] = np.arange(70_000) % 7
    y = np.where(X[:, 1] > 3, 1.0, -1.0)
    X[69_998, 1] = wrong
    before = generator.bit_generator.state
    with pytest.raises(ValueError, match=rf"X must be finite, got {wrong} in row 69998, column 1"):
        fastgd.fit(X, y, rng=generator, **options)
    assert generator.bit_generator.state == before


@pytest.mark.parametrize("loss", _core.losses())
@pytest.mark.parametrize("batch_size", [None, 1, 7, 48])
def test_a_large_array_is_refused_by_what_its_rows_lose_at_the_start(loss, batch_size):
    X, y = make_problem(loss, n=20_000, d=10)
    seen: list[object] = []
    asked = {"lr": 1e-3, "epochs": 1, "engine": "rows", "batch_size": batch_size, "loss": loss, "callback": seen.append}
    for wrong, order in [(np.nan, "C"), (np.inf, "F"), (-np.inf, "C")]:
        bad = np.array(X, order=order)
        bad[17_777, 3] = wrong
        for dtype in (np.float64, np.float32):
            with pytest.raises(ValueError, match=rf"X must be finite, got {wrong} in row 17777, column 3"):
                fastgd.fit(bad.astype(dtype, order="K"), y, **asked)
    assert not seen


def test_numbers_too_large_to_be_squared_are_no_reason_to_refuse():
    X = np.linspace(-1e200, 1e200, 140_000).reshape(-1, 1)
    assert fastgd.fit(X, X[:, 0] / 1e200).coef[0] == pytest.approx(1e-200)
