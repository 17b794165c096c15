# Needs only git, make and a Python from 3.11 on. Everything else is installed into .venv, at the versions and
# hashes of requirements.lock; of requirements-run.lock, which is a part of it, for what only runs `rehearse`. `make PYTHON=/path/to/python3 ...` chooses the Python, ARGS="..." adds arguments.

PYTHON ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.installed
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --all-extras

# Tests start hundreds of processes: none of them need compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-full test test-live check lock bench-demo bench-load bench-sql bench-store bench-upgrades bench-verdict clean examples

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(RUNS) ## rehearse the sample shop's upgrade, with a report at the end
	@$(BIN)/rehearse demo $(ARGS)

demo-full: $(RUNS) ## the same with every edge case, clocks that are set (needs faketime) too; about eight minutes
	@$(BIN)/rehearse demo --full $(ARGS)

test: $(READY) ## run the quick test suite
	@$(BIN)/pytest -m "not live" -n auto --dist worksteal $(ARGS)

test-live: $(READY) ## run the tests that put real load on real servers; about half an hour
	@$(BIN)/pytest -m live $(ARGS)

check: $(READY) ## check format, lint and types
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

bench-demo: $(RUNS) ## measure how often the demo reaches the right verdict
	@$(BIN)/python bench/demo.py $(ARGS)

bench-load: $(READY) ## measure the load generator itself; about an hour, needs nginx-light (and wrk, hey)
	@$(BIN)/python -m bench.load

bench-sql: $(READY) ## measure whether a lost index is found; ARGS="--postgres URL" names a PostgreSQL server
	@$(BIN)/python bench/sql.py $(ARGS)

bench-upgrades: $(READY) ## rehearse a real upgrade, pydantic 1 to 2, in environments of its own; three to five minutes
	@$(BIN)/python -m bench.upgrades.pydantic

bench-verdict: $(READY) ## measure how often verdicts are wrong, and how soon they decide; ARGS="--quick" for a first look
	@$(BIN)/python -m bench.verdict $(ARGS)

bench-store: $(READY) ## measure how long a full store takes to look at; ARGS="--postgres URL" names an empty database
	@$(BIN)/python -m bench.store $(ARGS)

lock: $(READY) ## choose versions anew, within the ranges of pyproject.toml
	@$(COMPILE) --upgrade --group dev --output-file requirements.lock pyproject.toml
	@$(COMPILE) --group build --constraint requirements.lock --output-file requirements-run.lock pyproject.toml

examples: $(READY) ## rehearse the sample shop anew for the example reports; about five minutes
	@$(BIN)/python -m bench.examples $(ARGS)

clean: ## remove .venv and the caches; recordings and reports stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find rehearse tests scenarios checks bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The first of these that is new enough and can make a virtual environment.
define FIND_PYTHON
for name in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		python=$$name; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "make: no Python from 3.11 on that can make a virtual environment was found." >&2; \
	echo "  looked for: $(or $(PYTHON),python3 python3.13 python3.12 python3.11)" >&2; \
	echo "  python3 is: $$(python3 --version 2>&1 | head -n 1)" >&2; \
	echo "  Install Python 3.11 or newer (Debian and Ubuntu: with its package python3-venv)," >&2; \
	echo "  or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1; \
fi
endef

$(RUNS): requirements-run.lock pyproject.toml rehearse/__init__.py
	@python=; $(FIND_PYTHON); echo "setting up $(VENV) with $$($$python --version)" >&2; $$python -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements-run.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(READY): requirements.lock $(RUNS)
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@
