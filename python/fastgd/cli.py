"""Command line: `fastgd demo`, `fit`, `predict`, `compare`, `diagnose`, `sweep`, `info`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import inspect
import io
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import fastgd
from fastgd import _core
from fastgd._flags import CHOSEN, FLAGS, OF_DIAGNOSE, OF_SWEEP, PASSES, add_options
from fastgd._parquet import GET_ARROW
from fastgd._progress import GET_PROGRESS
from fastgd.report import (
    GET_PLOT,
    as_json,
    facts,
    flagged,
    named,
    picture,
    summary,
    sweep_facts,
    sweep_summary,
    title,
    written,
)
from fastgd.result import FitResult
from fastgd.table import ColumnError, Table, TableError, read, read_features


class CommandError(Exception):
    """The end of the program: what to say, and the exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 the data or the run failed, 2 wrong use.

    Examples
    --------
    >>> from fastgd.cli import main
    >>> main(["compare", "points", "--lr", "1e-4", "--epochs", "10", "--json"])
    {"file": "points", ...}
    0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name in the user's file must not end the program
    try:
        code = _command(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough: `| head`
        _give_up_output()
        return 141
    except KeyboardInterrupt:
        return 130
    except MemoryError:
        return _fail("there is not enough memory for this", 1)
    except OSError as error:
        _give_up_output()
        where = f"{error.filename}: " if error.filename else ""
        return _fail(where + (error.strerror or str(error)).lower(), 1)
    except CommandError as error:
        return _fail(str(error), error.code)


def _command(argv: Sequence[str] | None) -> int:
    try:
        args, unknown = _parser().parse_known_args(argv)
        if unknown:  # told by the command, with its own usage
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as stop:  # argparse has said what there is to say
        return int(stop.code or 0)
    code: int = args.run(args)
    return code


def _fail(sentence: str, code: int) -> int:
    print("fastgd:", " ".join(sentence.split()), file=sys.stderr)
    return code


def _give_up_output() -> None:
    """If standard output can't be written to, don't let Python try again at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # full, closed, or not there
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


FILE = "a CSV or Parquet file; points and penguins are shipped tables"


def _parser() -> argparse.ArgumentParser:
    about = "Linear models by gradient descent: full batch, in mini-batches, by single rows."
    codes = "exit codes: 0 done; 1 the data or the run failed; 2 wrong use"
    parser = argparse.ArgumentParser("fastgd", description=about, epilog=codes, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastgd {fastgd.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, epilog=codes, allow_abbrev=False)
        made.set_defaults(run=run, parser=made)
        return made

    demo = command("demo", _demo, "real data, fitted three ways, beside the exact answer and the NumPy reference")
    demo.add_argument("--out", default="out", metavar="DIR", help="folder for the pictures (default: %(default)s)")
    fit = command("fit", _fit, "fit a linear model to a table")
    predict = command("predict", _predict, "predict with a model that fit --save wrote, one row a line")
    compare = command("compare", _compare, "run the Rust engine and the NumPy reference on the same rows")
    diagnose = command("diagnose", _diagnose, "which rates are stable, how many epochs one takes, and why")
    sweep = command("sweep", _sweep, "run at many learning rates, and say what becomes of each")
    info = command("info", _info, "versions, and the losses, optimizers and schedules there are")
    for made in (fit, compare):
        _add_table(made)
        add_options(made, fastgd.fit)
    _add_table(diagnose)
    add_options(diagnose, fastgd.diagnose, OF_DIAGNOSE)
    fit.add_argument("--plot", metavar="OUT.png", help="save a picture: the line for one feature, else the loss curve")
    fit.add_argument("--save", metavar="MODEL.json", help="save the model, for predict and fastgd.load")
    _add_table(sweep)
    add_options(sweep, fastgd.fit, OF_SWEEP)
    sweep.add_argument("--plot", metavar="OUT.png", help="save a picture: the last loss against the rate")
    predict.add_argument("model", metavar="MODEL", help="what fit --save wrote, or FitResult.save in Python")
    predict.add_argument("file", metavar="FILE", help=FILE)
    predict.add_argument(
        "--columns", metavar="COLUMN,...", help="names or 0-based indices in FILE, one for each feature"
    )
    predict.description = (
        "Predict with a model that fit --save wrote: one number a line, below a header if FILE has one. If FILE has a "
        "header, the features are found by their names, and other columns may hold anything. If not, it must have just "
        "the features, in the order of the fit, or the very columns of the fit; else --columns says which to take."
    )
    for made in (fit, predict, compare, diagnose, sweep, info):
        made.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser


def _add_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=FILE)
    parser.add_argument("--target", metavar="COLUMN", help="name or 0-based index (default: the last column)")
    parser.add_argument("--columns", metavar="COLUMN,...", help="the features (default: all other columns)")


# The work


def _columns(args: argparse.Namespace) -> list[str] | None:
    return None if args.columns is None else next(csv.reader([args.columns], skipinitialspace=True), [])


def _read(args: argparse.Namespace) -> Table:
    with _told():
        return read(args.file, args.target, _columns(args))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What is wrong with a table ends the program."""
    try:
        yield
    except ColumnError as error:
        raise CommandError(str(error), 2) from error
    except TableError as error:
        raise CommandError(str(error)) from error


def _run(run: Callable[..., Any], table: Table, args: argparse.Namespace) -> Any:
    options = {name: value for name, value in vars(args).items() if name in FLAGS}
    try:
        with warnings.catch_warnings():
            for said in (fastgd.DivergenceWarning, fastgd.ConvergenceWarning):  # the summary does
                warnings.simplefilter("ignore", said)
            return run(table.X, table.y, **options)
    except ImportError as error:  # of what is optional, --progress alone gets here
        raise CommandError(f"--progress needs tqdm: {GET_PROGRESS}") from error
    except (TypeError, ValueError) as error:
        message = named(str(error), table)
        if message.startswith("y must be") and (row := re.search(r" in row (\d+)$", message)):
            where = table.where(int(row[1]))
            raise CommandError(f"{where}: target {table.target!r}{message[1 : row.start()]}") from error
        option = message.split(" ", 1)[0]
        if option in FLAGS:
            message = "--" + option.replace("_", "-") + message[len(option) :]
        raise CommandError(message, 1 if option in ("X", "y") else 2) from error


def _fit(args: argparse.Namespace) -> int:
    if args.plot:
        _check_picture(args.plot)
    if args.save is not None:
        _check_save(args.save, args.file)
        if args.plot and os.path.realpath(args.plot) == os.path.realpath(args.save):
            raise CommandError(f"--plot and --save must name two files, got {args.save} for both", 2)
    table = _read(args)
    if args.plot and len(table.features) > 1 and "record" in args and args.record is None:
        raise CommandError("--plot needs a history for the loss curve: leave out --record none", 2)
    result = _run(fastgd.fit, table, args)
    best = _closed_form(table, result)
    if args.save is not None:  # before anything is printed, as nobody may be there to read it
        replace(result, features=tuple(table.features), target=table.target).save(args.save)
    if args.plot:
        _save_picture(args.plot, table, result)
    print(as_json(facts(table, result, best)) if args.json else summary(table, result, best))
    for what, path in (("picture", args.plot), ("model", args.save)):
        if path and not args.json:
            print(f"\nThe {what} is in {path}.")
    return _end(table, result)


def _predict(args: argparse.Namespace) -> int:
    try:
        model = fastgd.load(args.model)
    except OSError as error:
        raise CommandError(f"cannot read {args.model or repr('')}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise CommandError("MODEL" + str(error).removeprefix("path")) from error
    with _told():
        rows = read_features(args.file, model.features, model.target, model.coef.shape[-1], _columns(args))
    with np.errstate(all="ignore"):  # what is too large for a float64 is printed as inf
        predictions = model.predict(rows.X)
    if args.json:
        facts = {"model": args.model, "file": args.file, "rows": len(rows.X), "features": rows.names}
        print(as_json(facts | {"target": model.target, "status": model.status, "predictions": predictions}))
    else:
        print(written(predictions, model.target, rows.header), end="")
    if model.status == "diverged":
        print(end="", flush=True)
        print(f"fastgd: {args.model}: beware, the run that made this model diverged", file=sys.stderr)
    return 0


def _compare(args: argparse.Namespace) -> int:
    table = _read(args)
    found = _run(fastgd.compare, table, args)
    if args.json:
        names = ("max_difference", "seconds", "reference_seconds", "ratio")
        print(
            as_json(
                facts(table, found.result, _closed_form(table, found.result))
                | {name: getattr(found, name) for name in names}
            )
        )
    else:
        print(title(table), found, sep="\n")
    return _end(table, found.result)


def _diagnose(args: argparse.Namespace) -> int:
    table = _read(args)
    found: fastgd.Diagnosis = _run(fastgd.diagnose, table, args)
    found = replace(
        found,
        features=tuple(table.features[int(j)] for j in found.features),
        advice=tuple(flagged(named(sentence, table)) for sentence in found.advice),
    )
    if args.json:
        about = {"file": table.source, "rows": len(table.y), "target": table.target}
        print(as_json(about | {name: getattr(found, name) for name in found.__dataclass_fields__}))
    else:
        print(title(table), found, sep="\n")
    return 0


def _sweep(args: argparse.Namespace) -> int:
    if args.plot:
        _check_picture(args.plot)
    table = _read(args)
    chosen = _choose(table, args)
    try:
        found = _run(fastgd.sweep, table, args)
    except MemoryError as error:  # it says how many
        raise CommandError(str(error) or "there is not enough memory for this") from error
    print(as_json(sweep_facts(table, found)) if args.json else sweep_summary(table, found, chosen))
    if args.plot:
        picture(args.plot, lambda ax: fastgd.plot.lr_sweep(found, ax=ax))
        if not args.json:
            print(f"\nThe picture is in {args.plot}.")
    if set(found.status) != {"diverged"}:
        return 0
    print(end="", flush=True)
    stable = "" if found.lr_max is None else f"; rates are stable below {found.lr_max:.6g}"
    return _fail(f"{table.source}: all of these rates diverged{stable}", 1)


def _choose(table: Table, args: argparse.Namespace) -> str:
    """Puts the rates and the epochs of a sweep that were not asked for into `args`; which, in a sentence."""
    chosen = []
    if "lr" not in args:
        options = {name: vars(args)[name] for name in inspect.signature(fastgd.diagnose).parameters if name in args}
        options = {name: value for name, value in options.items() if not (isinstance(value, str) and value == "auto")}
        limit = _run(fastgd.diagnose, table, argparse.Namespace(**options)).lr_max
        if not (0 < limit < np.inf and limit / 1000 > 0 and 2 * limit < np.inf):
            raise CommandError("--lr is needed: there is no largest stable rate to choose rates by", 2)
        args.lr = np.geomspace(limit / 1000, 2 * limit, CHOSEN)
        chosen.append(
            f"{CHOSEN} rates from a thousandth of {limit:.6g}, the largest that is sure to be stable, to twice it"
        )
    if "epochs" not in args:
        args.epochs = PASSES
        chosen.append(f"{PASSES} epochs")
    return f"Chosen: {', and '.join(chosen)}." if chosen else ""


def _end(table: Table, result: FitResult) -> int:
    if result.status != "diverged":
        return 0
    print(end="", flush=True)  # the summary goes before what is wrong with it, in a pipe too
    return _fail(f"{table.source}: {named(result.message, table)}", 1)


def _closed_form(table: Table, result: FitResult) -> FitResult | None:
    """The exact minimum, where there is a formula for it."""
    options = {name: result.options[name] for name in ("loss", "l2", "fit_intercept")}
    if not _core.losses()[options["loss"][0]]["squared"] or result.options["l1"] or result.options["positive"]:
        return None
    try:
        with np.errstate(all="ignore"):
            best = fastgd.closed_form(table.X, table.y, **options)
    except (ValueError, np.linalg.LinAlgError):  # beyond what float64 holds
        return None
    return best if np.isfinite(best.loss) else None


def _demo(args: argparse.Namespace) -> int:
    from fastgd.demo import demo

    if Path(args.out).exists() and not Path(args.out).is_dir():
        raise CommandError(f"--out must name a folder, got the file {args.out!r}", 2)
    demo(Path(args.out))
    return 0


def _info(args: argparse.Namespace) -> int:
    versions = {
        "fastgd": fastgd.__version__,
        "build": "release" if _core.release else "debug (slow: build with --release)",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "matplotlib": _version("matplotlib", GET_PLOT),
        "tqdm": _version("tqdm", GET_PROGRESS),
        "pyarrow": _version("pyarrow", GET_ARROW),
    }
    families = {"losses": _core.losses(), "optimizers": _core.optimizers(), "schedules": _core.schedules()}
    if args.json:
        print(as_json(versions | families))
        return 0
    print(*(f"{name:<10}  {value}" for name, value in versions.items()), sep="\n")
    for family, table in families.items():
        print(f"\n{family}")
        width = max(len(_call(name, row)) for name, row in table.items())
        for name, row in table.items():
            print(f"  {_call(name, row):<{width}}  {row['formula']}")
    return 0


def _version(package: str, otherwise: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"not there; {otherwise}"


def _call(name: str, row: dict[str, Any]) -> str:
    parameters = ", ".join(f"{key}={value:g}" for key, value in row["parameters"].items())
    return f"{name}({parameters})" if parameters else name


def _check_picture(path: str) -> None:
    """Before the work, whether there will be a picture at the end."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise CommandError(f"--plot needs matplotlib: {GET_PLOT}") from error
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(path).suffix[1:].lower() not in known:
        raise CommandError(f"--plot must end in one of {', '.join('.' + name for name in known)}, got {path!r}", 2)
    if not Path(path).parent.is_dir():
        raise CommandError(f"--plot must lie in a folder that exists, got {path!r}", 2)


def _check_save(path: str, file: str) -> None:
    """Before the work, whether the model can be saved, and over nothing that is still needed."""
    if not Path(path).parent.is_dir():
        raise CommandError(f"--save must lie in a folder that exists, got {path!r}", 2)
    if Path(path).is_dir():
        raise CommandError(f"--save must name a file, got the folder {path!r}", 2)
    with contextlib.suppress(OSError):
        if os.path.samefile(path, file):
            raise CommandError(f"--save must not be FILE itself, got {path!r}", 2)


def _save_picture(path: str, table: Table, result: FitResult) -> None:
    def draw(ax: Any) -> None:
        if len(table.features) == 1 and np.ndim(result.intercept) == 0:
            fastgd.plot.fit_line(table.X, table.y, result, ax=ax)
            x, y = (name.replace("$", r"\$") for name in (table.features[0], table.target))  # no formulas
            ax.set(xlabel=x, ylabel=y)
        else:
            fastgd.plot.loss_curve(result, ax=ax)

    picture(path, draw)
