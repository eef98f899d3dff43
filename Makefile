# The commands that people and the continuous integration share. `make test` needs Python 3.11 or newer, nothing else.

SHELL := /bin/bash
# Where this is set, every process that a test starts compiles the whole program anew.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNTIME := $(VENV)/.runtime
# A name on the path may be a version manager's shim for a Python that is not there: only running it tells.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
# What a distribution builds was built with profiles and is some ten percent faster than what version managers build.
FIND_PYTHON = for name in /usr/bin/python3.1{3,2,1} python3.1{3,2,1} python3; do \
	if $$name -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$name; break; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))
PYTEST := $(BIN)/pytest

# Crashes, locks, erasure, the order of rows, text in many forms: where one database may differ from another.
ON_POSTGRESQL := $(addprefix tests/scenarios/test_,guard.py erasure.py ledger.py import.py opt_outs.py \
	address_change.py crashes.py)

.DEFAULT_GOAL := help
.PHONY: help setup test demo real lint types architecture simulate crash postgresql fuzz mutants scenarios format package constraints clean

help: ## Lists the targets.
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

setup: $(STAMP) ## Makes .venv with optsync and its tools; does nothing when that is up to date.

$(RUNTIME): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "optsync needs Python 3.11 or newer; none was found" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . -c constraints.txt
	@touch $(RUNTIME)

$(STAMP): $(RUNTIME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,lint,postgresql]" -c constraints.txt
	@touch $(STAMP)

# Many tests wait for a process or a server: one worker more than there are processors uses that.
test: setup ## All tests that need no server of somebody else's.
	$(PYTEST) -m "not real" -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

real: setup ## Tests against real servers, started on loopback; the first time they are downloaded.
	$(BIN)/python tests/real/mailman_server.py
	$(PYTEST) -m real $(ARGS) tests/real

demo: $(RUNTIME) ## A tour in a minute: mock vendors, a first sync, opt-outs on both sides, an explanation.
	$(BIN)/optsync demo

lint: setup ## Style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## Types, strictly.
	$(BIN)/mypy

architecture: setup ## Which part may know which, sizes, vendor words.
	$(BIN)/lint-imports
	$(PYTEST) tests/architecture

simulate: setup ## Plays seeded worlds (WORLDS=n SEED=s WITHIN=seconds): people act, the weather is bad, the process dies; checks every rule.
	@$(BIN)/python -m tests.simulation --worlds $(or $(WORLDS),200) --seed $(or $(SEED),0) $(if $(WITHIN),--within $(WITHIN))

fuzz: setup ## Plays worlds whose vendors answer in wrong shapes (WORLDS=n SEED=s).
	@$(BIN)/python -m tests.fuzz --worlds $(or $(WORLDS),500) --seed $(or $(SEED),0)

mutants: setup ## Breaks the pure core in every small way (MUTANTS=optsync.reconcile.consent: one module); the tests must tell.
	@$(BIN)/python -m tests.mutation $(MUTANTS)

crash: setup ## Kills `optsync sync` at random moments (KILLS=n SEED=s), on SQLite and on PostgreSQL; looks at what is left.
	@for state in sqlite postgresql; do \
		$(BIN)/python -m tests.crash --kills $(or $(KILLS),200) --seed $(or $(SEED),1) --state $$state || exit 1; done

postgresql: setup ## Scenarios with PostgreSQL as the state: a part of them (SCENARIOS=tests/scenarios for all).
	OPTSYNC_TEST_STATE=postgresql $(PYTEST) -n 2 --dist loadfile $(ARGS) $(or $(SCENARIOS),$(ON_POSTGRESQL))

scenarios: setup ## Writes docs/scenarios.md from the scenario files.
	$(BIN)/python -m tests.scenarios.catalogue

format: setup ## Puts style and formatting right where that can be done safely.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

package: setup ## The wheel, in dist/.
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

constraints: setup ## Writes the installed versions to constraints.txt; from a fresh .venv after a change of dependencies.
	$(BIN)/python -m pip freeze --exclude optsync | grep -E '^[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.!+]*$$' > constraints.new
	mv constraints.new constraints.txt
	@touch $(STAMP)

clean: ## Removes what was made here, .venv included.
	rm -rf $(VENV) .venvs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src connectors tests -name __pycache__ -type d -prune -exec rm -rf {} +
