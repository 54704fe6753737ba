# The one door for people and CI. `make` alone lists what is here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: help demo test check bench clean

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t 8

demo: $(VENV)/installed-all ## score the photographs that scikit-image and scikit-learn install
	@$(BIN)/python -m resmem_plugin.demo demo

test: check ## check, then every test
	@$(BIN)/python -m pytest

check: $(VENV)/installed-test ## lint, format, types and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --cache-dir .import_linter_cache

bench: $(VENV)/installed-test ## speed and memory, side by side with upstream
	@$(BIN)/python -m benchmarks.run

clean: ## remove everything that make made
	rm -rf $(VENV) demo .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; $(PYTHON) is older: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed-all: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing into $(VENV): torch, the weights, FiftyOne, ... about 7 GB, a few minutes, once."
	@$(INSTALL) '.[all]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed-all
	@$(INSTALL) '.[test]'
	@touch $@
