"""Command line: what is printed, where, and the exit code."""

from __future__ import annotations

import functools
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastgd
from fastgd import _flags, cli, demo

#: (exit code, standard output, standard error)
Run = Callable[..., tuple[int, str, str]]

TUTORIAL = ("fit", "points", "--lr", "1e-4", "--epochs", "1000")
SHORT = ("--lr", "1e-4", "--epochs", "3")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def process(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastgd", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


# fit


def test_fit_shows_case_3(run: Run) -> None:
    code, out, err = run(*TUTORIAL)
    assert (code, err) == (0, "")
    rows = {line.split("  ")[0]: line.split()[-3:] for line in out.splitlines() if "  " in line}
    assert rows["x"] == ["0", "1.477744085", "1.322431023"]
    assert rows["intercept"] == ["0", "0.08893651997", "7.991020986"]
    assert rows["loss (mse)"] == ["5565.107834", "112.6148101", "110.2573834"]
    assert out.startswith("points: 100 rows, 1 feature, target y\n")
    assert "1000 epochs, 1000 steps. Ran all of 1000 epochs; no tol was set. The loss lies 2.1 % above" in flat(out)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_fit_says_how(run: Run) -> None:
    words = ("--optimizer", "momentum:beta=0.5", "--schedule", "step:every=3", "--batch-size", "10", "--rng", "0")
    out = flat(run("fit", "points", "--epochs", "4", *words)[1])
    assert "By momentum (beta=0.5), lr 0." in out
    assert "schedule step (every=3), batches of 10 rows, standardised, mean of the later half: 4 epochs" in out


def test_progress_off_a_terminal_is_quiet_and_without_tqdm_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    assert run(*TUTORIAL, "--progress") == run(*TUTORIAL)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    said = "fastgd: --progress needs tqdm: pip install 'fastgd[progress]'\n"
    assert run(*TUTORIAL, "--progress") == (1, "", said)


def test_fit_json_is_exact(run: Run) -> None:
    code, out, err = run(*TUTORIAL, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    found = json.loads(out)
    x, y = fastgd.datasets.load_points()
    result, best = fastgd.fit(x, y, lr=1e-4, epochs=1000), fastgd.closed_form(x, y)
    assert (found["coef"], found["intercept"], found["loss"]) == ([*result.coef], result.intercept, result.loss)
    assert found["closed_form"] == {"coef": [*best.coef], "intercept": best.intercept, "loss": best.loss}
    assert found["loss_start"] == result.history.loss[0]
    assert (found["file"], found["rows"], found["features"], found["target"]) == ("points", 100, ["x"], "y")
    assert (found["status"], found["message"], found["n_steps"]) == ("max_epochs", result.message, 1000)
    assert found["options"]["loss"] == ["mse", {}]


def test_json_writes_what_is_not_finite_as_strings(run: Run) -> None:
    Path("huge.csv").write_text("1e200,1\n-2e200,2\n")
    code, out, err = run("fit", "huge.csv", *SHORT, "--json")
    assert (code, err.count("\n")) == (1, 1)
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (found["status"], found["coef"]) == ("diverged", [0.0])


def test_features_go_by_name(run: Run) -> None:
    code, out, _ = run("fit", "penguins", "--lr", "1e-5", "--epochs", "50", "--columns", "flipper_length_mm,0")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[3:6]] == ["flipper_length_mm", "bill_length_mm", "intercept"]
    assert "The loss is 2.04 times that of the closed form." in flat(out)


def test_a_diverged_run_says_why_and_exits_1(run: Run) -> None:
    code, out, err = run("fit", "penguins", "--lr", "1", "--epochs", "10", "--columns", "1,2")
    assert code == 1
    assert "Diverged: shown is the best epoch." in out
    assert err.startswith("fastgd: penguins: diverged after 1 epoch: lr=1 is too large.")
    assert "column 'flipper_length_mm'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--loss", "half_mse"], {"loss": "half_mse"}),
        (["--batch-size", "7", "--rng", "3"], {"batch_size": 7, "rng": 3}),
        (["--batch-size", "7", "--shuffle", "false"], {"batch_size": 7, "shuffle": False}),
        (["--batch-size", "7", "--shuffle", "once", "--rng", "3"], {"batch_size": 7, "shuffle": "once", "rng": 3}),
        (["--batch-size", "none", "--optimizer", "sgd", "--schedule", "constant"], {}),
        (["--l1", "0.5", "--l2", "0.25"], {"l1": 0.5, "l2": 0.25}),
        (["--no-fit-intercept"], {"fit_intercept": False}),
        (["--init", "normal:0.5", "--rng", "3"], {"init": ("normal", 0.5), "rng": 3}),
        (["--tol", "0.1"], {"tol": 0.1}),
        (["--tol", "none", "--record", "2", "--fit-intercept"], {"record": 2}),
        (["--batch-size", "50", "--record", "step", "--exact-loss", "--rng", "1", "--tol", "0.5", "--patience", "1"],
         {"batch_size": 50, "record": "step", "exact_loss": True, "rng": 1, "tol": 0.5, "patience": 1}),
        (["--record", "none"], {"record": None}),
    ],
)  # fmt: skip
def test_options_are_those_of_fit(run: Run, words: list[str], options: dict[str, Any]) -> None:
    code, out, err = run("fit", "points", "--lr", "1e-5", "--epochs", "20", "--json", *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    result = fastgd.fit(*fastgd.datasets.load_points(), lr=1e-5, epochs=20, **options)
    assert (found["coef"], found["intercept"], found["loss"]) == ([*result.coef], result.intercept, result.loss)
    assert (found["n_epochs"], found["status"]) == (result.n_epochs, result.status)
    assert found["options"] == json.loads(json.dumps(result.options))
    assert (found["loss_start"] is None) == (len(result.history) == 0)


def test_every_option_of_fit_is_a_flag_with_its_default(run: Run) -> None:
    parameters = inspect.signature(fastgd.fit).parameters
    assert set(parameters) - set(_flags.FLAGS) == {"X", "y", "X_val", "y_val", "sample_weight", "callback"}
    assert set(_flags.FLAGS) <= set(parameters)
    code, out, _ = run("fit", "--help")
    assert code == 0
    for name, parameter in parameters.items():
        if name in _flags.FLAGS:
            assert f"--{name.replace('_', '-')}" in out
            if parameter.default is not inspect.Parameter.empty:
                assert f"(default: {str(parameter.default).lower()})" in flat(out)


def test_parts_with_parameters() -> None:
    assert _flags.part("mse") == "mse"
    assert _flags.part("huber:delta=1.5") == ("huber", {"delta": 1.5})
    assert _flags.part("adam:beta1=.9, beta2=1e-1") == ("adam", {"beta1": 0.9, "beta2": 0.1})


def test_a_penalised_fit_is_not_measured_against_another_objective(run: Run) -> None:
    assert "closed form" in run("fit", "points", *SHORT, "--l2", "1")[1]
    assert "closed form" not in run("fit", "points", *SHORT, "--l1", "1")[1]


def test_names_that_are_not_ascii(run: Run) -> None:
    Path("f.csv").write_text("größe,质量\n1,2\n2,3\n", encoding="utf-8")
    assert "größe" in run("fit", "f.csv", *SHORT)[1]
    done = process("fit", "f.csv", *SHORT, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")


# What is refused


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "fastgd: cannot read f.csv: no such file or directory"),
        (b"", "fastgd: f.csv is empty"),
        (b"x,y\n", "fastgd: f.csv, line 1: there is a header, but no row below it"),
        (b"x,y\n1,2\n3\n", "fastgd: f.csv, line 3: 1 cell where the first row has 2"),
        (b"x,y\n1,2\n3,a\n", "fastgd: f.csv, line 3: 'a' in column 'y' is not a number"),
        (b"x,y\n1,2\n3,\n", "fastgd: f.csv, line 3: the cell in column 'y' is empty"),
        (b"x,y\n1,nan\n", "fastgd: f.csv, line 2: nan in column 'y' is not finite"),
        (b"x,y\n1,\xff\n", "fastgd: f.csv, line 2: there are bytes that are not UTF-8 text"),
        (b"x,x\n1,2\n", "fastgd: f.csv, line 1: columns 0 and 1 are both named 'x'"),
        (b"x\n1\n", "fastgd: f.csv has one column"),
        (b'x,y\n1,"2\n\n\n', "fastgd: f.csv, line 2: this is not CSV (unexpected end of data)"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "compare"])
def test_bad_files(run: Run, command: str, content: bytes | None, sentence: str) -> None:
    if content is not None:
        Path("f.csv").write_bytes(content)
    code, out, err = run(command, "f.csv", *SHORT)
    assert (code, out) == (1, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lr", "-1"], 'fastgd: --lr must be a finite number > 0 or "auto", got -1.0'),
        (["--lr", "nan"], 'fastgd: --lr must be a finite number > 0 or "auto", got nan'),
        (["--epochs", "0"], 'fastgd: --epochs must be an integer >= 1 or "auto", got 0'),
        (["--batch-size", "0"], "fastgd: --batch-size must be an integer >= 1, got 0"),
        (["--loss", "nosuch"], "fastgd: --loss must be one of 'mse', "),
        (["--optimizer", "nosuch:beta=1"], "fastgd: --optimizer must be one of 'sgd'"),
        (["--l2", "-1"], "fastgd: --l2 must be a finite number >= 0, got -1.0"),
        (["--target", "nosuch"], "fastgd: --target must be a name or an index from 0 to 1, got 'nosuch'; points has"),
        (["--target", "-1"], "fastgd: --target must be a name or an index from 0 to 1, got '-1'"),
        (["--columns", "2"], "fastgd: --columns must be a name or an index from 0 to 1, got '2'"),
        (["--columns", ""], "fastgd: --columns must name at least one column"),
        (["--columns", "x,y"], "fastgd: --columns must not have the target 'y'"),
        (["--plot", "out"], "fastgd: --plot must end in one of ."),
        (["--plot", "nosuch/out.png"], "fastgd: --plot must lie in a folder that exists, got 'nosuch/out.png'"),
    ],
)
def test_refused_values(run: Run, words: list[str], sentence: str) -> None:
    if "--plot" in words:
        pytest.importorskip("matplotlib")
    code, out, err = run("fit", "points", *SHORT, *words)
    assert (code, out) == (2, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "COMMAND"),
        (["nosuch"], "nosuch"),
        (["fit"], "FILE"),
        (["fit", "points", *SHORT, "--nosuch"], "--nosuch"),
        (["fit", "points", *SHORT, "--lr", "fast"], "'fast'"),
        (["fit", "points", *SHORT, "--shuffle", "maybe"], "must be true, false or once, got 'maybe'"),
        (["fit", "points", *SHORT, "--loss", "huber:delta"], "must be NAME or NAME:KEY=NUMBER,..., got 'huber:delta'"),
        (["fit", "points", *SHORT, "--init", "normal:-1"], "must be zeros or normal:STD with STD >= 0"),
        (["fit", "points", *SHORT, "--init", "ones"], "must be zeros or normal:STD with STD >= 0, got 'ones'"),
        (["fit", "points", *SHORT, "--record", "x"], "must be epoch, step, none or an integer, got 'x'"),
        (["fit", "points", *SHORT, "--rng", "-1"], "must be an integer >= 0, got '-1'"),
    ],
)
def test_wrong_use(run: Run, words: list[str], part: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"usage: fastgd {words[0]} FILE" if words[:1] == ["fit"] else "usage: fastgd")
    assert part in err


def test_columns_whose_names_have_commas(run: Run) -> None:
    Path("f.csv").write_text('"a, b",c,d\n1,2,3\n2,3,1\n')
    code, out, _ = run("fit", "f.csv", *SHORT, "--columns", '"a, b",c', "--json")
    assert (code, json.loads(out)["features"]) == (0, ["a, b", "c"])


def test_a_target_that_the_loss_does_not_admit_is_named_by_its_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @functools.wraps(fastgd.fit)
    def refuse(X: Any, y: Any, **options: Any) -> None:
        raise ValueError("y must be non-negative for loss 'poisson', got [-1.0] in row 1")

    monkeypatch.setattr(fastgd, "fit", refuse)
    Path("f.csv").write_text("x,count\n1,2\n\n2,-1\n")
    code, _, err = run("fit", "f.csv", *SHORT)
    assert code == 1
    assert err == "fastgd: f.csv, line 4: target 'count' must be non-negative for loss 'poisson', got [-1.0]\n"


# diagnose


def test_diagnose_says_why_the_tutorial_fails(run: Run) -> None:
    code, out, err = run("diagnose", "points", "--lr", "1e-4")
    assert (code, err) == (0, "")
    assert out.startswith("points: 100 rows, 1 feature, target y\nDiagnosis: lr=0.0001 crawls\n")
    assert "The condition number is 66,031: column 'x' has root mean square 49.91" in flat(out)
    assert "x (66,031 alone)" in out
    assert "with --standardize true the condition number is 1, and lr=0.5 takes 1 epoch" in flat(out)
    assert "fastgd fit without a rate and epochs" in flat(out)
    code, out, err = run("diagnose", "points", "--columns", "x", "--no-fit-intercept", "--l2", "1e6", "--lr", "1e-9")
    assert "l2=1e+06 bends" in flat(out)
    assert "True" not in out


def test_diagnose_json_is_exact(run: Run) -> None:
    words = ("--l2", "2", "--batch-size", "10", "--standardize", "true", "--no-fit-intercept", "--loss", "half_mse")
    code, out, err = run("diagnose", "penguins", *words, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    X, y, names = fastgd.datasets.load_penguins()
    options: dict[str, Any] = {"l2": 2, "batch_size": 10, "standardize": True, "fit_intercept": False}
    told, found = fastgd.diagnose(X, y, loss="half_mse", **options), json.loads(out)
    for name in ("L", "mu", "condition", "lr_max", "lr_max_is", "lr_auto", "lr", "epochs", "epochs_is", "verdict"):
        exact = getattr(told, name)
        assert found[name] == ("nan" if exact != exact else exact)
    assert (found["features"], found["harm"]) == ([names[int(j)] for j in told.features], told.harm.tolist())
    assert (found["rows"], found["target"]) == (342, "body_mass_g")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--lr", "auto"], "argument --lr: must be none or a number, got 'auto'"),
        (["--standardize", "auto"], "argument --standardize: must be true or false, got 'auto'"),
        (["--epochs", "3"], "unrecognized arguments: --epochs 3"),
        (["--lr", "0"], "fastgd: --lr must be a finite number > 0, got 0.0"),
        (["--optimizer", "implicit"], "fastgd: --batch-size must be 1 for optimizer 'implicit'"),
        (["--columns", "x,x"], "fastgd: --columns must name each column once, got 'x' twice"),
    ],
)
def test_diagnose_refuses_wrong_use(run: Run, words: list[str], part: str) -> None:
    code, out, err = run("diagnose", "points", *words)
    assert (code, out) == (2, "")
    assert part in err


# predict


def test_predict_refuses_a_column_twice_and_what_is_no_json(run: Run) -> None:
    saved(run, "penguins", "--columns", "0,1")
    said = "fastgd: --columns must name each column once, got 'bill_length_mm' twice\n"
    assert run("predict", "model.json", "penguins", "--columns", "0,0") == (2, "", said)
    for text in ("hello", "", '{"a": '):
        Path("f.json").write_text(text)
        said = "fastgd: MODEL must name a file that FitResult.save wrote, got 'f.json': it is no JSON\n"
        assert run("predict", "f.json", "penguins") == (1, "", said)


def saved(run: Run, *words: str) -> fastgd.FitResult:
    code, out, err = run("fit", *words, "--save", "model.json")
    assert (code, err) == (0, "")
    assert out.endswith("\nThe model is in model.json.\n")
    return fastgd.load("model.json")


def test_predictions_are_those_of_the_saved_model(run: Run) -> None:
    model = saved(run, "penguins", "--columns", "flipper_length_mm,0")
    assert (model.features, model.target) == (("flipper_length_mm", "bill_length_mm"), "body_mass_g")
    X, _, _ = fastgd.datasets.load_penguins()
    code, out, err = run("predict", "model.json", "penguins")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head == "body_mass_g"
    assert [float(line) for line in lines] == model.predict(X[:, [2, 0]]).tolist(), "every float is exact"
    code, out, err = run("predict", "model.json", "penguins", "--json")
    found = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert found.pop("predictions") == [float(line) for line in lines]
    assert found == {
        "model": "model.json",
        "file": "penguins",
        "rows": 342,
        "features": ["flipper_length_mm", "bill_length_mm"],
        "target": "body_mass_g",
        "status": "converged",
    }


HEADER, BARE = "a,b,price\n1,1,1\n2,1,3\n3,5,6\n4,4,3\n", "1,1,1\n2,1,3\n3,5,6\n4,4,3\n"


@pytest.mark.parametrize(
    ("fitted", "words", "content", "more", "header"),
    [
        (HEADER, [], "a,b\n5,7\n", [], "price\n"),
        (HEADER, [], "x,b,price,a\nfoo,7,,5\n", [], "price\n"),
        (HEADER, [], "5,7\n", [], ""),
        (HEADER, [], "0,7,5\n", ["--columns", "2,1"], ""),
        (HEADER, [], "rooms,area\n7,5\n", ["--columns", "area,rooms"], "price\n"),
        (BARE, [], "5,7,0\n", [], ""),
        (BARE, [], "5,7\n", [], ""),
        (BARE, ["--target", "1"], "5,0,7\n", [], ""),
        (BARE, ["--target", "1"], "5,7\n", [], ""),
        (BARE, [], "a,b\n5,7\n", ["--columns", "0,1"], "column 2\n"),
        ('a,b,"price, net"\n1,1,1\n2,1,3\n3,5,6\n', [], "a,b\n5,7\n", [], '"price, net"\n'),
    ],
)
def test_the_features_are_found(
    run: Run, fitted: str, words: list[str], content: str, more: list[str], header: str
) -> None:
    Path("f.csv").write_text(fitted)
    model = saved(run, "f.csv", *words)
    Path("new.csv").write_text(content)
    assert run("predict", "model.json", "new.csv", *more) == (0, f"{header}{float(model.predict([[5, 7]])[0])!r}\n", "")


@pytest.mark.parametrize(
    ("fitted", "content", "more", "code", "sentence"),
    [
        (HEADER, "a,c\n5,7\n", [], 1, "new.csv has no column 'b', a feature of the model; it has a, c: say with"),
        (HEADER, "5,7,1\n", [], 1, "new.csv has no header and 3 columns where the model has 2 features: say with"),
        (HEADER, "a,b\n5,x\n", [], 1, "new.csv, line 2: 'x' in column 'b' is not a number"),
        (HEADER, "a,b\n5,inf\n", [], 1, "new.csv, line 2: inf in column 'b' is not finite"),
        (HEADER, "a,b\n", [], 1, "new.csv, line 1: there is a header, but no row below it"),
        (HEADER, "", [], 1, "new.csv is empty"),
        (HEADER, None, [], 1, "cannot read new.csv: no such file or directory"),
        (HEADER, "5,7\n", ["--columns", "0"], 2,
         "--columns must name 2 columns, one for each feature: a, b; got 1"),
        (HEADER, "5,7\n", ["--columns", "0,2"], 2, "--columns must be a name or an index from 0 to 1, got '2'"),
        (BARE, "a,b\n5,7\n", [], 1, "new.csv has no column 'column 0', a feature of the model"),
        (BARE, "5,7,0,0\n", [], 1, "new.csv has no header and 4 columns where the model has 2 features: say with"),
    ],
)  # fmt: skip
def test_features_that_are_not_there(
    run: Run, fitted: str, content: str | None, more: list[str], code: int, sentence: str
) -> None:
    Path("f.csv").write_text(fitted)
    saved(run, "f.csv")
    if content is not None:
        Path("new.csv").write_text(content)
    found, out, err = run("predict", "model.json", "new.csv", *more)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert err.startswith(f"fastgd: {sentence}")


def test_a_model_from_python_has_no_names_and_may_have_outputs(run: Run) -> None:
    model = fastgd.fit([[1, 1], [2, 1], [3, 5]], [[1, 2], [3, 4], [5, 7]])
    model.save("model.json")
    Path("new.csv").write_text("a,b\n5,7\n")
    one, two = model.predict([[5, 7]])[0].tolist()
    assert run("predict", "model.json", "new.csv") == (0, f"prediction [0],prediction [1]\n{one!r},{two!r}\n", "")
    assert json.loads(run("predict", "model.json", "new.csv", "--json")[1])["predictions"] == [[one, two]]
    Path("new.csv").write_text("a,b,c\n5,7,1\n")
    code, _, err = run("predict", "model.json", "new.csv")
    assert code == 1
    assert err.startswith("fastgd: new.csv has 3 columns where the model has 2 features without names: say with")


def test_models_that_are_none(run: Run) -> None:
    assert run("predict", "no.json", "points") == (1, "", "fastgd: cannot read no.json: no such file or directory\n")
    Path("f.json").write_text("{}")
    said = "fastgd: MODEL must name a file that FitResult.save wrote, got 'f.json': it is no saved result\n"
    assert run("predict", "f.json", "points") == (1, "", said)


def test_a_diverged_model_is_saved_and_told_of(run: Run) -> None:
    assert run("fit", "points", "--lr", "1", "--epochs", "9", "--save", "model.json", "--json")[0] == 1
    code, out, err = run("predict", "model.json", "points")
    assert (code, out.count("\n")) == (0, 100)
    assert err == "fastgd: model.json: beware, the run that made this model diverged\n"


def test_save_refused(run: Run) -> None:
    Path("f.csv").write_text(BARE)
    for path, sentence in {
        "f.csv": "must not be FILE itself, got 'f.csv'",
        "nosuch/m.json": "must lie in a folder that exists, got 'nosuch/m.json'",
        ".": "must name a file, got the folder '.'",
    }.items():
        assert run("fit", "f.csv", "--save", path) == (2, "", f"fastgd: --save {sentence}\n")
    assert Path("f.csv").read_text() == BARE


# compare, info, demo


def test_compare(run: Run) -> None:
    code, out, err = run("compare", "points", *SHORT, "--batch-size", "10", "--rng", "0")
    assert (code, err) == (0, "")
    assert out.startswith("points: 100 rows, 1 feature, target y\nComparison: largest difference ")
    code, out, _ = run("compare", "points", *SHORT, "--json")
    found = json.loads(out)
    assert found["max_difference"] < 1e-12
    assert found["ratio"] == found["reference_seconds"] / found["seconds"]
    code, out, err = run("compare", "points", "--lr", "1", "--epochs", "9")
    assert (code, "(diverged)" in out, err.count("\n")) == (1, True, 1)


def test_info(run: Run) -> None:
    code, out, _ = run("info")
    assert code == 0
    facts = dict(line.split(maxsplit=1) for line in out.split("\n\n")[0].splitlines())
    assert (facts["fastgd"], facts["NumPy"]) == (fastgd.__version__, np.__version__)
    assert facts["build"].startswith("release" if fastgd._core.release else "debug")
    assert "matplotlib" in facts
    tables = fastgd._core.losses(), fastgd._core.optimizers(), fastgd._core.schedules()
    for name, row in [entry for table in tables for entry in table.items()]:
        assert any(line.split()[0].startswith(name) and row["formula"] in line for line in out.splitlines() if line)
    found = json.loads(run("info", "--json")[1])
    assert set(found["losses"]) == set(fastgd.losses())


def test_demo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_pictures", lambda *rest: print("no pictures"))
    code, out, err = run("demo")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 100
    rows = [line.split() for line in out.splitlines() if line.startswith(("points ", "penguins "))][2:]
    assert len(rows) == 6
    assert [*rows[0][3:8]] == ["0.0001", "1000", "5565.11", "112.61", "110.26"]
    for row in rows:
        end, closed, difference = map(float, row[-4:-1])
        assert closed <= end < 1.06 * closed
        assert difference < 1e-11
    assert "the intercept is 0.089 where the optimum has 7.99" in flat(out)
    assert "(X - mean) / std" in out


def test_demo_without_matplotlib(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_FITS", [(name, way, {**options, "epochs": 5}) for name, way, options in demo._FITS])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = run("demo")
    assert (code, err) == (0, "")
    assert out.endswith("With matplotlib there are pictures too: pip install 'fastgd[plot]'\n")
    assert not Path("out").exists()


# Pictures


def picture(path: str) -> Any:
    return pytest.importorskip("matplotlib.image").imread(path)


def test_demo_pictures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(demo, "_FITS", [(name, way, {**options, "epochs": 5}) for name, way, options in demo._FITS])
    code, out, err = run("demo", "--out", "a/b")
    assert (code, err) == (0, "")
    said = [line.split()[0] for line in out.split("Pictures in ")[1].splitlines()[1:]]
    assert sorted(said) == sorted(os.listdir("a/b"))
    assert all(np.ptp(picture(f"a/b/{name}")[..., :3]) > 0.9 for name in said)


@pytest.mark.parametrize("words", [["points"], ["penguins"], ["points", "--record", "none"], ["points", "--lr", "1"]])
def test_plot(run: Run, words: list[str]) -> None:
    pytest.importorskip("matplotlib")
    code, out, _ = run("fit", words[0], "--lr", "1e-5", "--epochs", "9", "--plot", "p.png", *words[1:])
    assert code == (1 if "1" in words else 0)
    assert out.endswith("The picture is in p.png.\n")
    assert np.ptp(picture("p.png")[..., :3]) > 0.5


def test_plot_takes_names_as_they_are(run: Run) -> None:
    pytest.importorskip("matplotlib")
    Path("f.csv").write_text("price $x_{$,質量 ^$^\n1,2\n2,3\n", encoding="utf-8")
    assert run("fit", "f.csv", *SHORT, "--plot", "p.svg")[0] == 0
    assert "<svg" in Path("p.svg").read_text(encoding="utf-8")


def test_plot_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    Path("folder.png").mkdir()
    code, _, err = run("fit", "points", *SHORT, "--plot", "folder.png")
    assert (code, err) == (1, "fastgd: folder.png: is a directory\n")
    code, _, err = run("fit", "penguins", "--lr", "1e-5", "--epochs", "2", "--record", "none", "--plot", "p.png")
    assert (code, err) == (2, "fastgd: --plot needs a history for the loss curve: leave out --record none\n")
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    code, out, err = run("fit", "points", *SHORT, "--plot", "p.png")
    assert (code, out, err) == (1, "", "fastgd: --plot needs matplotlib: pip install 'fastgd[plot]'\n")


# The process


def test_module_and_script_are_one() -> None:
    done = process(*TUTORIAL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1.477744085" in done.stdout
    done = process("fit", "nosuch.csv", *SHORT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fastgd: cannot read nosuch.csv: no such file or directory\n"
    assert process("--version").stdout == f"fastgd {fastgd.__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="no such pipes and signals")
def test_a_reader_that_has_seen_enough() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fastgd", "info"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_output_that_can_not_be_written() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "fastgd", "info"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "fastgd: no space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="no such pipes and signals")
def test_ctrl_c_is_quiet() -> None:
    words = ["fit", "points", "--lr", "1e-5", "--epochs", "1000000000", "--record", "none"]
    code = f"import sys; from fastgd.cli import main; print('ready', flush=True); sys.exit(main({words}))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
    assert (running.returncode, out, err) == (130, "", "")


def test_import_stays_light() -> None:
    code = "import fastgd, sys; print('fastgd.cli' in sys.modules or 'argparse' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_picture_and_model_are_two_files(tmp_path, capsys):
    assert cli.main(["fit", "points", "--plot", f"{tmp_path}/a.png", "--save", f"{tmp_path}/a.png"]) == 2
    assert "--plot and --save must name two files" in capsys.readouterr().err


# sweep


def test_sweep(run: Run) -> None:
    code, out, err = run("sweep", "points", "--lr", "1e-6,1e-4,1e-2", "--epochs", "100")
    assert (code, err) == (0, "")
    x, y = fastgd.datasets.load_points()
    found = fastgd.sweep(x, y, [1e-6, 1e-4, 1e-2], epochs=100)
    assert [line.split() for line in out.splitlines()[3:6]] == [
        ["1e-06", f"{found.final[0]:.8g}", "crawls"],
        ["0.0001", f"{found.final[1]:.8g}", "crawls", "<-", "lowest"],
        ["0.01", "-", "diverges"],
    ]
    assert "The minimum is 110.25738. Rates are stable below 0.000401296." in flat(out)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"standardize": True},
        {"optimizer": "momentum", "l2": 0.5},
        {"batch_size": 10},
        {"loss": "huber"},
        {"fit_intercept": False},
    ],
)
def test_sweep_chooses_rates_and_epochs(run: Run, options: dict[str, Any]) -> None:
    words = [
        f"--{name.replace('_', '-')}={str(value).lower()}" for name, value in options.items() if value is not False
    ]
    words += ["--no-fit-intercept"] if "fit_intercept" in options else []
    code, out, err = run("sweep", "points", *words)
    assert (code, err) == (0, "")
    limit = fastgd.diagnose(*fastgd.datasets.load_points(), **options).lr_max
    rates = [line.split()[0] for line in out.splitlines()[3:63]]
    assert rates == [f"{rate:.6g}" for rate in np.geomspace(limit / 1000, 2 * limit, 60)]
    assert f"Chosen: 60 rates from a thousandth of {limit:.6g}" in flat(out)
    assert "and 100 epochs." in flat(out)
    code, out, _ = run("sweep", "points", "--lr", "1e-6,1e-5", *words)
    assert "Chosen: 100 epochs." in flat(out)
    assert "Chosen" not in run("sweep", "points", "--lr", "1e-6,1e-5", "--epochs", "3", *words)[1]


def test_sweep_recommends_what_is_good(run: Run) -> None:
    _, out, _ = run("sweep", "points", "--standardize", "true", "--lr", "0.3,0.95,1.1", "--epochs", "1000")
    words = [line.split()[2:] for line in out.splitlines()[3:6]]
    assert words == [["good", "<-", "best"], ["oscillates"], ["diverges"]]
    _, out, _ = run("sweep", "points", "--standardize", "true", "--lr", "0.95", "--epochs", "1000")
    assert "oscillates  <- lowest" in out


def test_sweep_json_is_exact(run: Run) -> None:
    words = ("--lr", "1e-6:1e-2:5", "--epochs", "20", "--batch-size", "10", "--rng", "3", "--standardize", "true")
    code, out, err = run("sweep", "points", *words, "--json")
    assert (code, err) == (0, "")
    said = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    x, y = fastgd.datasets.load_points()
    found = fastgd.sweep(x, y, np.geomspace(1e-6, 1e-2, 5), epochs=20, batch_size=10, rng=3, standardize=True)
    assert said["lr"] == found.lr.tolist()
    assert said["loss"] == found.loss.tolist()
    assert (said["status"], said["verdict"], said["best"]) == (found.status, found.verdict, found.best)
    assert (said["rows"], said["features"], said["lr_max"], said["minimum"]) == (100, ["x"], None, None)


def test_sweep_where_all_diverges_fails(run: Run) -> None:
    code, out, err = run("sweep", "points", "--lr", "1,2", "--epochs", "5")
    assert code == 1
    assert "diverges" in out
    assert err == "fastgd: points: all of these rates diverged; rates are stable below 0.000401296\n"


def test_sweep_draws(run: Run) -> None:
    code, out, _ = run("sweep", "points", "--lr", "1e-6:1e-2:9", "--epochs", "20", "--plot", "rates.png")
    assert (code, Path("rates.png").stat().st_size > 10_000) == (0, True)
    assert out.endswith("The picture is in rates.png.\n")


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--optimizer", "adam"], 2, "--lr is needed: there is no largest stable rate"),
        (["--loss", "absolute", "--epochs", "5"], 2, "--lr is needed: there is no largest stable rate"),
        (["--loss", "absolut"], 2, "--loss must be one of"),
        (["--lr", "0.1,x", "--epochs", "5"], 2, "--lr: must be RATE,RATE,... or LOW:HIGH:COUNT with finite rates > 0"),
        (["--lr", "nan"], 2, "--lr: must be RATE,RATE,... or LOW:HIGH:COUNT with finite rates > 0, got 'nan'"),
        (["--lr", "1:2", "--epochs", "5"], 2, "got '1:2'"),
        (["--lr", "0:2:3", "--epochs", "5"], 2, "got '0:2:3'"),
        (["--lr", "1:nan:3", "--epochs", "5"], 2, "got '1:nan:3'"),
        (["--lr", "1:2:1", "--epochs", "5"], 2, "COUNT from 2 to 100000, got '1:2:1'"),
        (["--lr", "0.1,0", "--epochs", "5"], 2, "with finite rates > 0, got '0.1,0'"),
        (["--lr", "0.1", "--epochs", "0"], 2, "--epochs must be an integer >= 1, got 0"),
        (["--lr", "0.1", "--epochs", "5", "--tol", "1"], 2, "unrecognized arguments: --tol"),
        (["--lr", "0.1", "--epochs", "5", "--plot", "x.foo"], 2, "--plot must end in one of"),
        (["--lr", "1:2:99999", "--epochs", "20000000000"], 1, "no memory for the losses of a sweep: 99999 rates"),
    ],
)
def test_sweep_refused(run: Run, words: list[str], code: int, part: str) -> None:
    found, out, err = run("sweep", "points", *words)
    assert (found, out) == (code, "")
    assert part in err


def test_demo_refuses_a_file_before_the_work(run: Run) -> None:
    Path("out").write_text("mine")
    assert run("demo") == (2, "", "fastgd: --out must name a folder, got the file 'out'\n")
    assert Path("out").read_text() == "mine"
