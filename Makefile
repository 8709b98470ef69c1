# petset's one door. `make help` lists what it opens.
SHELL := /bin/bash
PY := .venv/bin/python
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
JOBS ?= 2
E2E_JOBS ?= $(JOBS)
SEEDS ?= 1000
SECONDS_EACH ?= 60
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-clean test test-fast e2e check fmt fmt-check lint types arch generated spelling golden sim fuzz bench clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv and install what the machine lacks (safe to repeat)
	@tools/setup.sh

demo: setup ## show the main job on real containers (root or sudo)
	@$(SUDO) $(PY) tools/demo.py $(ARGS)

demo-clean: setup ## stop the demo cluster and delete its data
	@$(SUDO) .venv/bin/petset down --name demo --delete-data

test: setup ## run every test; those on real containers need root (or sudo)
	@$(PY) -m pytest -q -n $(JOBS) -m "not e2e" $(ARGS)
	@$(SUDO) $(PY) -m pytest -q -m e2e -n $(E2E_JOBS) --dist loadfile -p no:cacheprovider $(ARGS)

test-fast: ## only the tests without containers
	@$(PY) -m pytest -q -n $(JOBS) -m "not e2e" $(ARGS)

e2e: ## only the tests on real containers
	@$(SUDO) $(PY) -m pytest -q -m e2e -n $(E2E_JOBS) --dist loadfile -p no:cacheprovider $(ARGS)

check: fmt-check lint types arch generated spelling ## everything that reads the code without running it

fmt: ## format the code
	@.venv/bin/ruff format -q .
	@.venv/bin/ruff check -q --fix-only .

fmt-check:
	@.venv/bin/ruff format -q --check .

lint: ## ruff
	@.venv/bin/ruff check -q .

types: ## mypy --strict
	@.venv/bin/mypy

arch: ## the import law
	@.venv/bin/lint-imports

generated: ## generated files are up to date
	@$(PY) tools/gen_schema.py --check
	@$(PY) tools/gen_protobuf.py --check

spelling:
	@.venv/bin/codespell src tests docs tools benchmarks examples *.md

golden: ## rewrite the golden files from what the code does now
	@GOLDEN=1 $(PY) -m pytest -q tests/scenarios

sim: ## live SEEDS random histories of the whole control plane (SEEDS=10000 JOBS=2)
	@$(PY) -m tests.sim --seeds 0:$(SEEDS) --jobs $(JOBS) $(ARGS)

fuzz: ## hostile input for SECONDS_EACH seconds per target (ARGS=edge for one)
	@$(PY) -m tests.fuzz --seconds $(SECONDS_EACH) $(ARGS)

bench: setup ## measure the figures that README quotes (root or sudo)
	@$(SUDO) $(PY) -m benchmarks $(ARGS)

clean: ## remove caches and .venv
	@rm -rf .venv .mypy_cache* .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -prune -exec rm -rf {} +
