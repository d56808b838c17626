# What a contributor runs. Every target makes .venv from constraints.txt when it isn't there; a stamp in
# .venv says what is installed, so a second run starts at once. Windows: docs/install.md has plain pip.

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
ON_POSTGRESQL ?= tests/server tests/browser/day

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check
BASE    := $(VENV)/.installed-base
DEV     := $(VENV)/.installed-dev

# Tests run in WORKERS processes, and an image model gains nothing from threads that fight over a core.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-all test-postgresql lint types contracts docs bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(BASE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Leukolens into $(VENV); only the first time."
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

# The development install contains the base install, so it stamps both.
$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Leukolens with torch and the development tools into $(VENV); only the first time."
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(BASE) $@

demo: $(BASE)  ## draw a smear, read it, show drawn against found; needs no data
	$(BIN)/leukolens demo

dev: $(DEV)  ## the development environment, and nothing else

test: $(DEV)  ## the tests: eight minutes on two cores, up to sixteen where they have no AVX-512
	$(ONE_THREAD) $(BIN)/python -m pytest -q -m "not slow" -n $(WORKERS) --dist loadfile --session-timeout=1800

test-all: $(DEV)  ## every test, the slow ones too, and the server's on PostgreSQL
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile
	$(MAKE) test-postgresql

test-postgresql: $(DEV)  ## those of the server's tests that choose a database, on a PostgreSQL of their own
	LEUKOLENS_TEST_DATABASE=postgresql $(ONE_THREAD) $(BIN)/python -m pytest -q -m "not slow" -n $(WORKERS) \
		--dist loadfile $(ON_POSTGRESQL)

lint: $(DEV)  ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)  ## mypy, strict
	$(BIN)/mypy

contracts: $(DEV)  ## import-linter: who may import whom
	$(BIN)/lint-imports

docs: $(DEV)  ## the manual, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The manual is in site/index.html"

bench: $(DEV)  ## the speed figures that the README quotes
	$(BIN)/python benchmarks/speed.py

clean:  ## what was built; .venv, data/ and runs/ stay
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +
