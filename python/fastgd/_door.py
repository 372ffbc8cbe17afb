"""Door: what comes in is checked once and made plain.

Every refusal names the argument, what was given, and what is accepted.
"""

from __future__ import annotations

import functools
import math
import numbers
import os
import reprlib
import sys
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgd import _columns, _core, _sparse
from fastgd._sparse import Csr

T = TypeVar("T")
Array = NDArray[np.float64]
#: full rows may also be stored as float32, and rows may be sparse
Full = NDArray[np.float64] | NDArray[np.float32]
Rows = Full | Csr

_WIDE, _NARROW = np.dtype(np.float64), np.dtype(np.float32)


def rows(X: Any, *, name: str = "X", check: bool = True) -> Rows:
    """X as an (n, d) array of finite float64 or float32 in C or Fortran order, or sparse as it is.

    A one-dimensional X is one feature. Without `check` full rows may hold what is not finite, and whoever asked looks
    later: see `finite`.
    """
    if type(X) is not np.ndarray and _sparse.is_sparse(X):
        return _sparse.read(X, name)
    return full_rows(X, name=name, check=check)


def full_rows(X: Any, *, name: str = "X", check: bool = True) -> Full:
    """The same of what is not sparse."""
    values = real_array(X, name)
    shape = values.shape
    if len(shape) == 1:
        values = values.reshape(-1, 1)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} must be (n, d) with n >= 1 rows and d >= 1 features, got shape {shape}")
    dtype = values.dtype
    if dtype is not _WIDE:
        dtype = _NARROW if dtype.kind == "f" and dtype.itemsize == 4 else _WIDE
    values = _plain(values, dtype, by_columns=True)
    return finite(values, name, X) if check else values


def same_columns(X: Any, expected: tuple[str, ...] | None, name: str = "X") -> None:
    """Refuse a table whose columns are named otherwise than those of the fit, or lie in another order."""
    found = _columns.names(X)
    if expected is None or found is None or found == expected or len(found) != len(expected):
        return
    at = next(j for j, (theirs, ours) in enumerate(zip(found, expected, strict=True)) if theirs != ours)
    raise ValueError(
        f"{name} must have the columns of the fit in their order, {expected[at]!r} in column {at}, got {found[at]!r}; "
        f"take {name}[[...]] by the names in result.features, or an array if the names don't matter"
    )


def targets(y: Any, n: int, *, name: str = "y", of: str = "X") -> Array:
    """y as an (n,) or (n, K) array of finite float64."""
    values = real_array(y, name)
    if values.ndim not in (1, 2) or 0 in values.shape[1:]:
        raise ValueError(f"{name} must be (n,) or (n, K), got shape {values.shape}")
    if len(values) != n:
        raise ValueError(f"{name} must have one entry for each of the {n} rows of {of}, got {len(values)}")
    return finite(_plain(values, _WIDE), name, y)


def weights(sample_weight: Any, n: int) -> Array | None:
    """sample_weight as an (n,) array of finite float64 >= 0, not all 0; None stays None."""
    if sample_weight is None:
        return None
    values = real_array(sample_weight, "sample_weight")
    if values.shape != (n,):
        raise ValueError(f"sample_weight must have one entry for each of the {n} rows of X, got shape {values.shape}")
    values = finite(_plain(values, _WIDE), "sample_weight")
    if values.min() < 0:
        at = int(np.argmax(values < 0))
        raise ValueError(f"sample_weight must be >= 0, got {values[at]:g} in row {at}")
    with np.errstate(over="ignore"):
        total = values.sum()
    if not (np.finfo(np.float64).tiny * n <= total < np.inf):
        raise ValueError(f"sample_weight must have a finite sum > 0 and a mean that is no subnormal, got sum {total:g}")
    return values


def vector(value: Any, shape: tuple[int, ...], name: str) -> Array:
    """A finite float64 array of just this shape."""
    values = real_array(value, name)
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {values.shape}")
    return finite(_plain(values, _WIDE), name)


def real(
    value: Any, name: str, accepted: str = "a finite number", *, low: float = -np.inf, above: bool = False
) -> float:
    """A finite number >= low, or > low if `above`."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {accepted}, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not math.isfinite(number) or number < low or (above and number == low):
        raise ValueError(f"{name} must be {accepted}, got {reprlib.repr(value)}")
    return number


def _or_auto(accepted: str, auto: bool) -> str:
    return f'{accepted} or "auto"' if auto else accepted


def positive(value: Any, name: str, *, auto: bool = False) -> float:
    """A finite number > 0; `auto` only tells that "auto" would be accepted too."""
    if type(value) is float and 0.0 < value < np.inf:  # which is what most give
        return value
    return real(value, name, _or_auto("a finite number > 0", auto), low=0.0, above=True)


def non_negative(value: Any, name: str, *, auto: bool = False) -> float:
    """A finite number >= 0."""
    if type(value) is float and 0.0 <= value < np.inf:
        return value
    return real(value, name, _or_auto("a finite number >= 0", auto), low=0.0)


def integer(value: Any, name: str, *, low: int = 1, auto: bool = False) -> int:
    """An integer >= low that fits 63 bits."""
    if type(value) is int and low <= value < 2**63:
        return value
    accepted = _or_auto(f"an integer >= {low}", auto)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be {accepted}, got {value!r}")
    if not low <= int(value) < 2**63:
        below = " below 2**63" if int(value) > low else ""
        raise ValueError(f"{name} must be {_or_auto(f'an integer >= {low}{below}', auto)}, got {reprlib.repr(value)}")
    return int(value)


def flag(value: Any, name: str, *, auto: bool = False) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        accepted = 'True, False or "auto"' if auto else "True or False"
        raise TypeError(f"{name} must be {accepted}, got {value!r}")
    return bool(value)


def shuffling(value: Any) -> bool | str:
    """True, False or "once"."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str) and value == "once":
        return value
    raise ValueError(f'shuffle must be True, False or "once", got {value!r}')


def choice(value: Any, name: str) -> tuple[str, dict[str, float]]:
    """A registered name, or (name, {parameter: value})."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        return value[0], {str(key): real(given, f"{key} of {name} '{value[0]}'") for key, given in value[1].items()}
    raise TypeError(f"{name} must be a name or (name, {{parameter: value}}), got {value!r}")


def made(kind: type[T], /, **fields: Any) -> T:
    """A dataclass with all its fields at once: one after the other they would take a tenth of a call of few steps."""
    one = object.__new__(kind)
    object.__setattr__(one, "__dict__", fields)  # which no class may refuse, frozen or not
    return one


def is_seed(rng: Any) -> bool:
    """Whether it makes a generator that nobody else has: an integer of 128 bits, or None for a fresh one."""
    return rng is None or (type(rng) is int and 0 <= rng < 2**128)


def seed(rng: int | None) -> np.random.Generator | int:
    """A generator that nobody else has, or its seed where the engine comes from that to the same numbers."""
    if not _is_known():
        return generator(rng)
    return int.from_bytes(os.urandom(16), "little") if rng is None else rng


@functools.cache
def _is_known() -> bool:
    """Whether NumPy's generators are over PCG64, which the engine knows: a later release may have another."""
    return type(np.random.default_rng(0).bit_generator) is np.random.PCG64


def generator(rng: Any) -> np.random.Generator:
    """`numpy.random.default_rng(rng)`; a Generator stays itself."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        accepted = "None, an integer >= 0, a SeedSequence, a BitGenerator or a Generator"
        raise type(error)(f"rng must be {accepted}, got {rng!r}") from error


def real_array(value: Any, name: str) -> NDArray[Any]:
    """Anything array-like whose entries are real numbers, as an array of any shape, order and dtype."""
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return value
    masked = sys.modules.get("numpy.ma")  # NumPy loads it only when somebody uses it
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; fill it first, for example with {name}.filled(...)")
    if _sparse.is_sparse(value):
        raise TypeError(f"{name} must be dense, got a sparse {type(value).__name__}; use {name}.toarray()")
    if (method := _columns.to_call_first(value)) is not None:
        raise TypeError(f"{name} must be in memory, got a lazy {type(value).__name__}; call .{method}() first")
    table = None if _columns.is_uniform(value) else _columns.labelled(value)
    if table is None:
        return _numbers(value, name)
    columns = [_numbers(column, name, _columns.called(j, label)) for j, (label, column) in enumerate(table)]
    return _columns.side_by_side(columns, len(value))


def _numbers(value: Any, name: str, column: str = "") -> NDArray[Any]:
    """An array of real numbers; `column` is what messages call it if it is one of a table."""
    where = column and f" in {column}"
    if (categories := _columns.categories(value)) is not None:
        raise TypeError(f"{name} must hold real numbers, got dtype {categories}{where}")
    try:
        values = _columns.read(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array of numbers{where}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:
        if not column and not isinstance(error, TypeError):
            error.add_note(f"raised when fastgd read {name}")
            raise  # what an array of the user's own raises is the user's
        raise TypeError(f"{name} must hold real numbers, got {type(value).__name__}{where}: {error}") from error
    if column and values.ndim != 1:
        raise TypeError(f"{name} must hold one number in each cell, got shape {values.shape[1:]}{where}")
    if values.dtype.kind in "biuf":
        return values
    if values.dtype.kind == "O" and values.ndim > 0:
        return _numbers_of_objects(values, name, column)
    held = type(value).__name__ if values.ndim == 0 else f"dtype {values.dtype}"
    raise TypeError(f"{name} must hold real numbers, got {held}{where}")


def _numbers_of_objects(values: NDArray[Any], name: str, column: str) -> Array:
    for at, entry in np.ndenumerate(values):
        # decimal.Decimal is a Number and no more, as it does not mix with floats
        decimal = isinstance(entry, numbers.Number) and not isinstance(entry, numbers.Complex)
        if not decimal and not isinstance(entry, (numbers.Real, np.bool_)):
            held = f"{reprlib.repr(entry)} ({type(entry).__name__})"
            raise TypeError(f"{name} must hold real numbers, got {held}{_place(at, column)}")
    try:
        return values.astype(np.float64)
    except (OverflowError, ValueError, TypeError) as error:
        where, wrong = column and f" in {column}", TypeError if isinstance(error, TypeError) else ValueError
        raise wrong(f"{name} must hold numbers that fit a float64{where}: {error}") from error


def _place(at: tuple[int, ...], column: str = "") -> str:
    """Where an entry is, in words."""
    if not at:
        return ""
    if len(at) == 1:
        return f" in row {at[0]}" + (column and f", {column}")
    return f" in row {at[0]}, {column or f'column {at[1]}'}" if len(at) == 2 else f" at {at}"


def _plain(values: NDArray[Any], dtype: np.dtype[Any], *, by_columns: bool = False) -> NDArray[Any]:
    """Native byte order, aligned, C order (Fortran order stays if `by_columns` will do); a copy only if needed."""
    if values.dtype is dtype and values.flags.carray:
        return values
    stays = by_columns and values.flags.f_contiguous
    with np.errstate(over="ignore"):  # a longdouble beyond float64 becomes an infinity, which is refused next
        return np.require(values, dtype=dtype, requirements=["A"] if stays else ["C", "A"])


def finite(values: NDArray[Any], name: str, given: Any = None, *, threads: int = 1) -> NDArray[Any]:
    """The values, none of them NaN or infinite; `given` is what they were, which may name its columns."""
    if not _core.finite(values, threads):
        good = np.isfinite(values)
        at = tuple(map(int, np.unravel_index(int(np.argmin(good)), values.shape)))
        table = _columns.labelled(given)
        column = _columns.called(at[1], table[at[1]][0]) if table else ""
        raise ValueError(f"{name} must be finite, got {values[at]}{_place(at, column)}")
    return values
