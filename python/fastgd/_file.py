"""File: a result as JSON and back, every float exact. Loading runs no code, and believes nothing it has not checked."""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from typing import Any

import numpy as np

from fastgd import _core
from fastgd._core import __version__
from fastgd.history import History
from fastgd.result import FitResult

_FORMAT = "fastgd result"
_VERSION = 1
_STATUSES = ("converged", "max_epochs", "diverged", "stopped")
_ENGINES = ("rows", "gram", "closed_form")
_COUNTS = ("n_epochs", "n_steps")
_TEXTS = ("status", "message", "optimizer", "engine")


def save(result: FitResult, path: str | os.PathLike[str]) -> None:
    """Write `result` to `path`; the file is whole or not there."""
    columns = {name: getattr(result.history, name) for name in result.history.__dataclass_fields__}
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__ if name not in ("history", "options")}
    facts = {"format": _FORMAT, "version": _VERSION, "fastgd": __version__}
    text = json.dumps(facts | plain(fields | {"options": result.options, "history": columns}), allow_nan=False)
    write_whole(path, text.encode())


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file that is whole or not there; one that exists is replaced, once the new one is whole."""
    path = os.path.realpath(_path(path))  # a link stays one
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe is written to, never replaced
        try:
            with open(path, "wb") as file:
                file.write(content)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, path) from None
        return
    temporary = f"{path}.{os.urandom(8).hex()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        if os.path.exists(path):
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, path) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def _path(path: Any) -> str:
    """A path in words; numbers, which `open` takes for open files, are none."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or path-like, got {path!r}")
    return os.fspath(path)


def load(path: str | os.PathLike[str]) -> FitResult:
    """Read a result that `FitResult.save` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    FitResult
        Equal to what was saved in every bit.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no such file, or damaged; the message names the path and what is wrong.

    Examples
    --------
    >>> import fastgd, pathlib, tempfile
    >>> result = fastgd.fit([1.0, 2.0], [2.0, 4.0], lr=0.1, epochs=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result.save(pathlib.Path(folder) / "model.json")
    ...     again = fastgd.load(pathlib.Path(folder) / "model.json")
    >>> bool((again.coef == result.coef).all())
    True
    """
    try:
        with open(_path(path), encoding="utf-8") as file:
            held = json.load(file, parse_constant=_refuse)
        return _result(held)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        if not isinstance(path, (str, os.PathLike)):
            raise
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
            what = "it is no JSON"
        raise ValueError(f"path must name a file that FitResult.save wrote, got {os.fspath(path)!r}: {what}") from error


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def plain(value: Any) -> Any:
    """What JSON can hold: floats that are not finite become strings."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _result(held: Any) -> FitResult:
    if not isinstance(held, dict) or held.get("format") != _FORMAT:
        raise ValueError("it is no saved result")
    if type(held.get("version")) is not int or held["version"] != _VERSION:
        raise ValueError(f"it has version {held.get('version')!r}, and this fastgd {__version__} reads {_VERSION}")
    coef, intercept = _array(held["coef"], "coef"), _array(held["intercept"], "intercept")
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError("coef or intercept is not finite")
    if coef.ndim not in (1, 2) or intercept.shape != coef.shape[:-1] or 0 in coef.shape:
        raise ValueError(f"coef of shape {coef.shape} and intercept of shape {intercept.shape} do not belong together")
    for name in _COUNTS:
        if type(held[name]) is not int or held[name] < 0:
            raise ValueError(f"{name} is no count")
    for name in _TEXTS:
        if not isinstance(held[name], str):
            raise ValueError(f"{name} is no text")
    known = held["status"] in _STATUSES and held["engine"] in _ENGINES and type(held["standardized"]) is bool
    if not known or held["optimizer"] not in {"closed_form", *_core.optimizers()}:
        raise ValueError("status, engine, optimizer or standardized is none there is")
    return FitResult(
        coef=coef,
        intercept=float(intercept) if intercept.ndim == 0 else intercept,
        loss=_number(held["loss"], "loss"),
        lr=_number(held["lr"], "lr"),
        standardized=held["standardized"],
        history=_history(held["history"], coef.shape),
        options=_options(held["options"]),
        features=_features(held.get("features"), coef.shape[-1]),  # files before there were names are read, too
        target=None if held.get("target") is None else _name(held["target"], "target"),
        **{name: held[name] for name in _COUNTS + _TEXTS},
    )


def _history(held: dict[str, Any], shape: tuple[int, ...]) -> History:
    columns: dict[str, Any] = {}
    records = len(held["step"])
    shapes = {"coef": (records, *shape), "intercept": (records, *shape[:-1])}
    for name in History.__dataclass_fields__:
        if name == "val_loss" and held[name] is None:
            columns[name] = None
            continue
        wanted = shapes.get(name, (records,))
        column = _array(held[name], name) if records else np.zeros(wanted)
        if column.shape != wanted:
            raise ValueError(f"column {name} of the history has shape {column.shape}, not {wanted}")
        if name in ("epoch", "step"):
            if not ((column >= 0) & (column < 2**53) & (column == np.floor(column))).all():
                raise ValueError(f"column {name} of the history holds what is no count")
            column = column.astype(np.int64)
        columns[name] = column
    return History(**columns)


def _options(held: Any) -> dict[str, Any]:
    if not isinstance(held, dict) or not {"loss", "l1", "l2", "fit_intercept"} <= held.keys():
        raise ValueError("options is no object with loss, l1, l2 and fit_intercept")
    size = held.get("batch_size")
    if size is not None and (type(size) is not int or size < 1):
        raise ValueError(f"option batch_size is {size!r:.40}")
    for name in ("l1", "l2"):
        if not _number(held[name], name) >= 0:
            raise ValueError(f"option {name} is {held[name]!r:.40}")
    options: dict[str, Any] = {}
    for name, value in held.items():
        if name in ("loss", "optimizer", "schedule"):
            if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], dict):
                raise ValueError(f"{name} is no name with its parameters")
            part, parameters = value
            if (
                not isinstance(part, str)
                or (name == "loss" and part not in _core.losses())
                or not all(_number(number, name) == number for number in parameters.values())
            ):
                raise ValueError(f"{name} is no name with its parameters")
            options[name] = (part, parameters)
        elif value is None or isinstance(value, (bool, int, float, str)):
            options[name] = value
        else:
            raise ValueError(f"option {name} holds {value!r:.40}")
    return options


def _features(held: Any, d: int) -> tuple[str, ...] | None:
    if held is None:
        return None
    if not isinstance(held, list) or len(held) != d:
        raise ValueError(f"features is no list of {d} names")
    names = tuple(_name(value, "features") for value in held)
    if len(set(names)) < d:
        raise ValueError("features holds a name twice")
    return names


def _name(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.isprintable():  # it is going to be printed
        raise ValueError(f"{name} holds {value!r:.40}, which is no name")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} holds {value!r:.40}, which is no number")
    return float(value)


def _array(value: Any, name: str) -> Any:
    """Numbers in lists in lists, all of one length."""

    def read(value: Any) -> Any:
        return [read(entry) for entry in value] if isinstance(value, list) else _number(value, name)

    return np.array(read(value), dtype=np.float64)
