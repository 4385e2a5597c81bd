# Needs only make and Python 3.11 or newer. To use a Python other than python3: make PYTHON=python3.13 …
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'

.PHONY: help install run test crash fuzz bench check lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/dev ## Install the requirements for running, testing and checking into .venv

run: $(VENV)/run ## Start a server and a client with its web page; Ctrl-C stops both
	@exec $(BIN)/python scripts/run.py

test: $(VENV)/dev ## Run the tests, on all cores; ARGS="-k name" picks some
	$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(ARGS)

crash: $(VENV)/dev ## Kill server and recipients again and again, and check that nothing is lost; ROUNDS=200 SEED=7
	$(BIN)/python -m tests.crash --rounds $(or $(ROUNDS),200) $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/dev ## Send hostile input to every port and check each answer; INPUTS=200000 SEED=7
	$(BIN)/python -m tests.fuzz --inputs $(or $(INPUTS),200000) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(VENV)/bench ## Measure the speed against rivals in the same run; ARGS="1 2 --rounds 1" picks rows
	$(BIN)/python -m bench --json figures.json $(ARGS)

check: $(VENV)/dev ## Lint, check the format and the types, look for advisories
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/audit.py

lock: $(VENV)/dev ## Update the lock files of the requirements; ARGS=--upgrade takes newer versions
	$(LOCK) $(ARGS) requirements/dev.in -o requirements/dev.txt
	for part in build server client bench; do \
		$(LOCK) $(ARGS) -c requirements/dev.txt requirements/$$part.in -o requirements/$$part.txt || exit; \
	done

clean: ## Remove .venv and the caches of the tools
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# A stamp file for each level of installation, with the time of its last success. A changed lock file recreates .venv.
$(VENV)/run: requirements/build.txt requirements/server.txt requirements/client.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ringback needs Python 3.11 or newer, and $(PYTHON) is %s. Name another: make PYTHON=python3.13" % sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL) -r requirements/build.txt
	$(PIP_INSTALL) --no-build-isolation -r requirements/server.txt -r requirements/client.txt
	@touch $@

$(VENV)/bench: $(VENV)/run requirements/bench.txt
	$(PIP_INSTALL) -r requirements/bench.txt
	@touch $@

$(VENV)/dev: $(VENV)/run requirements/dev.txt
	$(PIP_INSTALL) --no-build-isolation -r requirements/dev.txt
	@touch $@
