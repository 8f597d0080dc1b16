# `make tour` and `make test` are all that a fresh clone needs; every target installs what it uses.
#
# The environment in .venv is made once. A change of pyproject.toml or setup.py installs again;
# a change of a Cython file compiles that file again.

PYTHON ?= python3
BIN := .venv/bin
CYTHON_SOURCES := $(shell find convkit/_ext -name '*.pyx' -o -name '*.pxd')

.DEFAULT_GOAL := help
.PHONY: help tour test lint docs bench clean
.DELETE_ON_ERROR:

help:  ## show this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

tour: .venv/tour.installed .venv/compiled  ## every operation at work on a photograph: writes convkit-tour.html
	$(BIN)/convkit tour

test: .venv/test.installed .venv/compiled  ## all tests and doctests, on two processes
	$(BIN)/pytest -q -n 2

lint: .venv/lint.installed .venv/compiled  ## style, types and the rules of who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint convkit tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: .venv/docs.installed .venv/compiled  ## the documentation, in docs/_build/html
	$(BIN)/sphinx-build -W -n --keep-going -b html docs docs/_build/html

bench: .venv/bench.installed .venv/compiled  ## time every kernel, grouped by operation and case
	$(BIN)/pytest benchmarks --benchmark-enable --benchmark-only --benchmark-group-by=group \
	    --benchmark-columns=median,min,max,rounds --benchmark-sort=min

clean:  ## remove what builds, tests and docs made; .venv stays
	rm -rf build dist docs/_build .benchmarks .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	rm -rf convkit/_ext/v2 convkit/_ext/v3 convkit/_ext/v4 convkit/_ext/base .venv/compiled
	find convkit tests -name '*.so' -delete

# --- the environment ------------------------------------------------------------------------

# The build runs in .venv itself (no build isolation), so that pip and the quick rebuild below
# use one Cython and one NumPy, and the first has not to be downloaded twice.
.venv/build.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -c "import tomllib; \
	    print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	    > .venv/build-requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check -r .venv/build-requirements.txt
	touch $@

# A pattern rule: test.installed brings the extra `test`, and so on; `tour` needs none.
.venv/%.installed: .venv/build.installed pyproject.toml setup.py
	@echo "installing convkit: the first time, compiling its kernels takes a few minutes"
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -e '.$(if $(filter tour,$*),,[$*])'
	touch $@ .venv/compiled

.venv/compiled: $(CYTHON_SOURCES) | .venv/build.installed
	$(BIN)/python setup.py -q build_ext --inplace
	touch $@
