# The front door. Every target sets up what it needs; Debian 12 with make and python3.11-venv is enough.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 50080
DATA ?= .kolony
MINUTES ?= 30

BIN := .venv/bin
READY := .venv/ready
# The build backend comes first, so that also the build takes no version that is not pinned.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt

CLUSTER := PYTHONPATH=tests/support $(BIN)/python tests/e2e/cluster/clusters.py

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(READY) ## Run a colony on this machine (PORT=50080 DATA=.kolony)
	$(BIN)/kolony dev --port $(PORT) --data $(DATA)

.PHONY: test
test: $(READY) ## Run all tests that need no cluster (ARGS="-k name" picks some)
	$(BIN)/python -m pytest $(ARGS)

.PHONY: e2e
e2e: $(READY) ## Run the tests on a cluster: of KUBECONFIG, or of kind, or one that is built here (ARGS="-k name")
	$(CLUSTER) prepare
	$(BIN)/python -m pytest tests/e2e $(ARGS)

.PHONY: cluster-up
cluster-up: $(READY) ## Start a Kubernetes control plane on this machine, and say how to use it
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: $(READY) ## End what cluster-up started
	@$(CLUSTER) down

.PHONY: chaos
chaos: $(READY) ## Break everything under load, and count what is lost (MINUTES=30 SEED=number)
	PYTHONPATH=tests $(BIN)/python -m chaos.run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: bench
bench: $(READY) ## Measure the server beside raw PostgreSQL
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

.PHONY: generate
generate: $(READY) ## Write what is generated: the table of messages in docs/protocol.md
	$(BIN)/python docs/generate.py

.PHONY: check
check: $(READY) ## Everything that must pass: format, lint, types, imports, generated files, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest

.PHONY: format
format: $(READY) ## Format the code and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: hooks
hooks: $(READY) ## Check format, lint and imports before each commit
	$(BIN)/pre-commit install

.PHONY: constraints
constraints: ## Pin the newest versions of all dependencies in constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all,test,lint,bench]'
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

.PHONY: clean
clean: ## Remove the environment, caches and the colony of `make run`
	rm -rf .venv .kolony build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find apiserver core tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) editables hatchling
	$(INSTALL) --no-build-isolation --editable '.[all,test,lint,bench]'
	@touch $@
