# Everything a person or CI does here. Each target sets up what it needs by itself.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ENV ?= all
REF ?= HEAD
ALLOW ?=
IN_TWO_PROCESSES := --numprocesses 2 --dist loadfile --no-loadscope-reorder
LOCK_OPTIONS := --quiet --generate-hashes --no-header --no-annotate --universal \
	--python-version 3.11 --no-emit-index-url --no-emit-find-links

export PATH := $(CURDIR)/$(BIN):$(PATH)
export CDK_DISABLE_CLI_TELEMETRY := true
# Where it is set, every process of a test run compiles all modules anew: 5 s each.
unexport PYTHONDONTWRITEBYTECODE

PYTHON_READY := .venv/.ready
NODE_READY := node_modules/.package-lock.json
EMULATOR_READY := .cache/emulator/.ready

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 18

install: $(PYTHON_READY) $(NODE_READY) $(EMULATOR_READY) ## Install everything

# pip compiles bytecode as it installs, which makes the first synthesis several times faster.
$(PYTHON_READY): requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.txt
	touch $@

$(NODE_READY): package-lock.json $(PYTHON_READY)
	$(BIN)/npm ci --silent
	touch $@

# The emulator wants another botocore than the project, so it has an environment of its own.
$(EMULATOR_READY): requirements-emulator.txt $(PYTHON_READY)
	$(PYTHON) -m venv .cache/emulator
	.cache/emulator/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --requirement requirements-emulator.txt
	touch $@

synth: install ## Synthesise every environment with all checks (ENV=prod for one)
	@$(BIN)/python -m ops synth --env $(ENV)

test: install ## Run every test
	$(BIN)/python -m pytest $(IN_TWO_PROCESSES)

test-fast: install ## Run the tests that need neither all environments nor an emulator
	$(BIN)/python -m pytest $(IN_TWO_PROCESSES) \
		-m "not synth and not emulator and not slow"

check: install ## Lint, format check, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files -z '*.sh' .ci/run | xargs -0 --no-run-if-empty $(BIN)/shellcheck

local: install ## Run the platform on this machine, on an emulator of AWS
	@$(BIN)/python -m ops local up

local-down: install ## End the local cloud and remove all that it wrote
	@$(BIN)/python -m ops local down

lint-templates: synth ## Run cfn-lint on the templates, each with its region's rules
	@$(BIN)/python -m ops lint-templates

diff: synth ## Fail if a change would replace or delete data, compared with REF=HEAD
	@$(BIN)/python -m ops diff --ref $(REF) $(foreach name,$(ALLOW),--allow $(name))

snapshots: install ## Accept the templates as they are now
	$(BIN)/python -m pytest tests/test_snapshots.py --snapshot-update

docs: synth ## Write the generated pages and the picture anew
	@$(BIN)/python -m ops docs

bench: install ## Measure what synthesis costs
	$(BIN)/python benchmarks/synth.py $(BENCH)

lock: install ## Lock the dependencies anew
	$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements.in --output-file requirements.txt
	for file in lambdas/*/requirements.in jobs/*/requirements.in; do \
		$(BIN)/uv pip compile $(LOCK_OPTIONS) $$file --output-file $${file%.in}.txt; \
	done
	$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements-dev.in --output-file requirements-dev.txt
	$(BIN)/uv pip compile $(LOCK_OPTIONS) requirements-emulator.in \
		--output-file requirements-emulator.txt
	$(BIN)/npm install --package-lock-only --silent

clean: ## Remove everything that can be made again
	rm -rf .venv node_modules cdk.out .cache .hypothesis .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help install synth test test-fast check local local-down lint-templates diff snapshots docs bench lock clean
