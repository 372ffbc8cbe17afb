"""Flags: the options of `fastgd.fit` as words of the command line; defaults are read off its signature."""

from __future__ import annotations

import argparse
import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def part(text: str) -> str | tuple[str, dict[str, float]]:
    """`huber:delta=1.5` is ("huber", {"delta": 1.5})."""
    name, colon, rest = text.partition(":")
    if not colon:
        return name
    parameters: dict[str, float] = {}
    for pair in rest.split(","):
        key, _, value = pair.partition("=")
        try:
            parameters[key.strip()] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be NAME or NAME:KEY=NUMBER,..., got {text!r}") from None
    return name, parameters


def _start(text: str) -> str | tuple[str, float]:
    if text == "zeros":
        return text
    with contextlib.suppress(ValueError):
        if text.startswith("normal:") and 0 <= (std := float(text.removeprefix("normal:"))) < np.inf:
            return "normal", std
    raise argparse.ArgumentTypeError(f"must be zeros or normal:STD with STD >= 0, got {text!r}")


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be an integer >= 0, got {text!r}")
    return int(text)


#: learning rates in one --lr, at most
_MOST_RATES = 100_000


def _rates(text: str) -> NDArray[np.float64]:
    """`1e-5,1e-4,1e-3`, or LOW:HIGH:COUNT with equal ratios between neighbours."""
    accepted = "must be RATE,RATE,... or LOW:HIGH:COUNT with finite rates > 0"
    try:
        if ":" not in text:
            rates = np.array([float(rate) for rate in text.split(",")])
            if not all(0 < rate < np.inf for rate in rates):
                raise ValueError
            return rates
        low, high, count = text.split(":")
        ends, many = (float(low), float(high)), int(count)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{accepted}, got {text!r}") from None
    if not (all(0 < end < np.inf for end in ends) and 2 <= many <= _MOST_RATES):
        raise argparse.ArgumentTypeError(f"{accepted} and COUNT from 2 to {_MOST_RATES}, got {text!r}")
    return np.geomspace(*ends, many)


def _words(number: Callable[[str], Any] | None = None, **words: Any) -> Callable[[str], Any]:
    """One of some words, or else a number."""

    def parse(text: str) -> Any:
        try:
            return words[text] if text in words or number is None else number(text)
        except (KeyError, ValueError):
            accepted = [*words, "an integer" if number is int else "a number"] if number else list(words)
            raise argparse.ArgumentTypeError(
                f"must be {', '.join(accepted[:-1])} or {accepted[-1]}, got {text!r}"
            ) from None

    return parse


#: the options of `fastgd.fit` that are flags; defaults are read off its signature
FLAGS: dict[str, dict[str, Any]] = {
    "loss": {"type": part, "metavar": "NAME[:KEY=NUMBER,...]", "help": "see fastgd info"},
    "lr": {"type": _words(float, auto="auto"), "metavar": "RATE", "help": "learning rate, > 0"},
    "epochs": {"type": _words(int, auto="auto"), "metavar": "N", "help": "at most so many passes over the rows"},
    "batch_size": {"type": _words(int, none=None), "metavar": "ROWS", "help": "rows a step: none for all, 1, or more"},
    "shuffle": {"type": _words(true=True, false=False, once="once"), "metavar": "{true,false,once}",
                "help": "a fresh order each epoch, none, or one for all"},
    "optimizer": {"type": part, "metavar": "NAME[:KEY=NUMBER,...]", "help": "see fastgd info"},
    "schedule": {"type": part, "metavar": "NAME[:KEY=NUMBER,...]", "help": "see fastgd info"},
    "l1": {"type": float, "metavar": "PENALTY", "help": "times the sum of |coefficient|"},
    "l2": {"type": float, "metavar": "PENALTY", "help": "half of it times the sum of coefficient^2"},
    "positive": {"action": argparse.BooleanOptionalAction, "help": "no coefficient may be negative"},
    "fit_intercept": {"action": argparse.BooleanOptionalAction, "help": "whether the line need not go through 0"},
    "init": {"type": _start, "metavar": "{zeros,normal:STD}", "help": "coefficients at the start"},
    "standardize": {"type": _words(true=True, false=False, auto="auto"), "metavar": "{true,false,auto}",
                    "help": "iterate on centred and scaled features"},
    "engine": {"type": str, "metavar": "{auto,rows,gram}", "help": "walk the rows, or sufficient statistics"},
    "threads": {"type": _words(int, none=None), "metavar": "N", "help": "for passes over many rows; none chooses"},
    "average": {"type": _words(false=False, tail="tail", auto="auto"), "metavar": "{false,tail,auto}",
                "help": "with batches, return the mean over the later half of the epochs"},
    "tol": {"type": _words(float, none=None, auto="auto"), "metavar": "TOL", "help": "stop early when this is met"},
    "patience": {"type": int, "metavar": "EPOCHS", "help": "with batches, so many epochs must not improve to stop"},
    "record": {"type": _words(int, epoch="epoch", step="step", none=None), "metavar": "{epoch,step,K,none}",
               "help": "what the history keeps"},
    "exact_loss": {"action": argparse.BooleanOptionalAction, "help": "with batches, record the loss over all rows"},
    "rng": {"type": _seed, "metavar": "SEED", "help": "an integer >= 0 makes the run repeatable"},
    "progress": {"action": argparse.BooleanOptionalAction, "help": "show a bar, if standard error is a terminal"},
}  # fmt: skip


#: of `fastgd.diagnose`, what differs
OF_DIAGNOSE: dict[str, dict[str, Any]] = {
    "lr": {"type": _words(float, none=None), "help": "learning rate to be judged, > 0"},
    "standardize": {"type": _words(true=True, false=False), "metavar": "{true,false}"},
}

#: what a sweep takes that is not told its rates or epochs
CHOSEN, PASSES = 60, 100

#: the options of `fastgd.sweep` that are not those of `fit`: flags of its own, or None where it has none
OF_SWEEP: dict[str, dict[str, Any] | None] = {
    "lr": {
        "type": _rates,
        "metavar": "RATES",
        "help": "1e-5,1e-4,1e-3 or LOW:HIGH:COUNT, at equal ratios",
        "default": f"{CHOSEN} rates up to twice the largest stable one",
    },
    "epochs": {"type": int, "metavar": "N", "help": "passes over the rows at each rate", "default": PASSES},
    **dict.fromkeys(("tol", "patience", "record", "average")),
}


def add_options(
    parser: argparse.ArgumentParser,
    function: Callable[..., Any],
    other: Mapping[str, dict[str, Any] | None] | None = None,
) -> None:
    """The flags that a function has arguments for; `other` than those of the fit where they mean something else."""
    group, needed = parser.add_argument_group("options of the fit"), ["FILE"]
    for name, parameter in inspect.signature(function).parameters.items():
        changed = (other or {}).get(name, {})
        if name not in FLAGS or changed is None:
            continue
        flag, described = "--" + name.replace("_", "-"), FLAGS[name] | changed
        default = str(described.pop("default", parameter.default)).lower()
        required = parameter.default is inspect.Parameter.empty
        described["help"] += " (required)" if required else f" (default: {default})"
        group.add_argument(flag, dest=name, required=required, default=argparse.SUPPRESS, **described)
        if required:
            needed.append(f"{flag} {described['metavar']}")
    parser.usage = f"{parser.prog} {' '.join(needed)} [options]"
