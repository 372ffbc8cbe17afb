"""Run by `make test` with the interpreter of an empty environment that holds nothing but an installed fastgd."""

import importlib.metadata
import pathlib
import subprocess
import sys

import fastgd


def main() -> None:
    home = pathlib.Path(fastgd.__file__).parent
    assert home.is_relative_to(sys.prefix), f"{home} is not the installed package"
    assert (home / "py.typed").exists()
    assert (home / "_core.pyi").exists()
    assert fastgd._core.release

    x, y = fastgd.datasets.load_points()
    X, _, _ = fastgd.datasets.load_penguins()
    assert (x.shape, X.shape) == ((100,), (342, 3))
    for options in ({"epochs": 100}, {"epochs": 3, "batch_size": 7, "rng": 0}):
        comparison = fastgd.compare(x, y, lr=1e-4, **options)
        assert comparison.max_difference < 1e-12, comparison

    files = {str(path) for path in importlib.metadata.files("fastgd")}
    assert any(name.endswith("licenses/LICENSE") for name in files), "the licence is missing"
    assert any("LICENSES.md" in name for name in files), "the data's notices are missing"
    assert importlib.metadata.version("fastgd") == fastgd.__version__

    command = pathlib.Path(sys.executable).parent / "fastgd"
    shown = subprocess.run([command, "fit", "points", "--lr", "1e-4", "--epochs", "10"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "intercept" in shown.stdout


if __name__ == "__main__":
    main()
