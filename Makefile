# make run    builds fastgd and fits real data        make test   everything that must hold
# make        fmt lint build test                     make help   the other targets

PYTHON = $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
export FASTGD_TEST_SEED ?= $(shell date +%Y%j)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs')
say = @printf '\n== %s\n' "$(1)"

.PHONY: all run test fmt lint build test-rust test-python test-package bench docs clean help cargo
.DEFAULT_GOAL := all
.NOTPARALLEL:

all: fmt lint build test  ## fmt lint build test

run: $(VENV)/built  ## build in release and run the demo; pictures go to out/
	$(call say,fastgd demo)
	@$(BIN)/fastgd demo --out out

test: lint test-rust test-python test-package  ## lints, types, Rust and Python tests, wheel and sdist
	@printf '\n== all of it passed\n'

fmt: cargo $(VENV)/dev  ## format Rust and Python
	$(call say,format)
	@cargo fmt && $(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

lint: cargo $(VENV)/built $(VENV)/dev  ## rustfmt, clippy, ruff, mypy, stubtest
	$(call say,lints and types)
	@cargo fmt --check
	@cargo clippy -q --all-targets -- -D warnings
	@cargo clippy -q --all-targets --features python -- -D warnings
	@$(BIN)/ruff format -q --check . && $(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/python -m mypy.stubtest fastgd._core

build: $(VENV)/built  ## install into .venv, editable, in release

test-rust: cargo  ## the engine alone, without Python
	$(call say,Rust tests)
	@cargo test -q

test-python: $(VENV)/built $(VENV)/dev  ## tests, docstring and README examples
	$(call say,Python tests with FASTGD_TEST_SEED=$(FASTGD_TEST_SEED))
	@$(BIN)/pytest

test-package: cargo $(VENV)/built $(VENV)/dev  ## a wheel and an sdist, each into an empty environment with pip alone
	$(call say,wheel and sdist)
	@rm -rf dist && $(BIN)/maturin build -q --release --sdist --out dist
	@for package in dist/*.whl dist/*.tar.gz; do \
		rm -rf dist/empty && $(BIN)/python -m venv dist/empty && \
		dist/empty/bin/pip install -q --disable-pip-version-check "$$package" && \
		(cd dist && empty/bin/python ../tests/installed.py) || exit 1; \
		echo "$$package: installs and runs"; done

bench: $(VENV)/built $(VENV)/bench  ## every speed and memory claim against its target; ROWS="tiny line" for some
	$(call say,benchmark)
	@$(BIN)/python benches/bench.py $(ROWS) --json out/bench.json $(if $(ROWS),,--page docs/benchmark.md)

docs: $(VENV)/built $(VENV)/docs  ## the documentation, its examples run, into out/docs; a warning is an error
	$(call say,documentation)
	@rm -rf docs/api docs/gallery out/docs out/doctrees
	@$(BIN)/sphinx-build -W --keep-going -q -d out/doctrees docs out/docs
	@echo "to be read from out/docs/index.html"

clean:  ## remove what was made
	rm -rf $(VENV) target dist out docs/api docs/gallery

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

cargo:
	@command -v cargo >/dev/null || { echo "make: no cargo found; install Rust from https://rustup.rs" >&2; exit 1; }
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || { \
		echo "make: rustfmt or clippy is missing; add them with: rustup component add rustfmt clippy" >&2; exit 1; }

# Another PYTHON than the one that made .venv makes it anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell cat $(VENV)/made 2>/dev/null),$(PYTHON))
.PHONY: $(VENV)/made
endif
endif

# Each stamp is made once and again only when what it depends on changes.
$(VENV)/made:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: fastgd needs Python 3.11 or newer, and $(or $(PYTHON),no python3 here) is not;" \
		"name one with: make PYTHON=/path/to/python" >&2; exit 1; }
	$(call say,a virtual environment in $(VENV) with $(PYTHON))
	@"$(PYTHON)" -m venv --clear $(VENV) >/dev/null || { rm -rf $(VENV); \
		echo "make: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --upgrade 'pip>=25.1' || { \
		echo "make: pip could not be upgraded; is there a network?" >&2; exit 1; }
	@echo "$(PYTHON)" >$@

$(VENV)/built: $(SOURCES) | $(VENV)/made
	$(call say,fastgd and what its pictures need; Rust in release)
	@command -v cargo >/dev/null || echo "no cargo found: letting maturin bring Rust for this build"
	@$(BIN)/pip install -q -e '.[plot]' || { rm -f $@; \
		echo "make: fastgd could not be built (see above); it needs Rust from https://rustup.rs, or a network that brings it" >&2; exit 1; }
	@touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/made
	$(call say,tools for tests and lints)
	@$(BIN)/pip install -q --group dev || { echo "make: the tools could not be installed; is there a network?" >&2; exit 1; }
	@touch $@

$(VENV)/bench: pyproject.toml | $(VENV)/made
	$(call say,the peers of the benchmark)
	@$(BIN)/pip install -q --group bench || { echo "make: the peers could not be installed; is there a network?" >&2; exit 1; }
	@$(BIN)/pip install -q scikit-learn-intelex 2>/dev/null || echo "scikit-learn-intelex has no wheel for this machine: left out"
	@touch $@

$(VENV)/docs: pyproject.toml | $(VENV)/made
	$(call say,Sphinx and what it needs)
	@$(BIN)/pip install -q --group docs || { echo "make: Sphinx could not be installed; is there a network?" >&2; exit 1; }
	@touch $@
