# Every command of the project; CI runs `make test check` and nothing else.
# Each target does the set-up it needs: the environment .venv, the pinned packages, Enzyme.

.DEFAULT_GOAL := help
.PHONY: help install enzyme bench bench-gpu demo test test-gpu slow lint format types check wheel clean
SHELL := /bin/bash

VENV := .venv
PY := $(VENV)/bin/python
# The first Python >= 3.11 that can make an environment; `make PYTHON=... install` chooses another.
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	command -v $$p >/dev/null && $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
# Files in order of their names: by number of tests, which is the default, the slow ones that have few come last.
PYTEST := $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## fit the Earth's magnetic field through the transform and its gradient
	@echo "== the demo =="
	$(PY) scripts/demo_magnetic_field.py

test: setup ## run the tests, doctests among them; `slow` has the rest
	@echo "== tests =="
	$(PYTEST) -m "not slow and not gpu"

slow: setup ## run the tests that take long
	@echo "== slow tests =="
	$(PYTEST) -m slow || [ $$? -eq 5 ]  # 5: there are none

test-gpu: setup ## run what needs a GPU; an error where there is none
	@echo "== tests on the GPU =="
	$(PY) -m pytest -m gpu tests/test_gpu.py

install: $(VENV)/.installed ## make .venv with the pinned packages and the project in it

enzyme: install ## build Enzyme's LLVM plugin from source, where the prebuilt driver will not do
	$(PY) -m llvm build-enzyme

bench: setup ## time maps, stages, gradients beside the peers that are installed, and the start
	@echo "== benchmark =="
	$(PY) scripts/bench_gradient.py
	$(PY) scripts/bench_stages.py
	$(PY) scripts/bench_differentiable.py
	$(PY) scripts/bench_objectives.py
	$(PY) scripts/bench_start.py

bench-gpu: setup ## time maps and gradients on the GPU
	@echo "== benchmark on the GPU =="
	$(PY) scripts/bench_gpu.py

lint: install ## check style and format
	@echo "== lint =="
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: install ## bring the code into format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: install ## check types
	@echo "== types =="
	$(PY) -m pyright

wheel: setup ## build the wheel and run a gradient from it in an empty environment
	@echo "== wheel =="
	$(PY) scripts/check_wheel.py

check: lint types test wheel ## all that CI runs; the slow tests are apart

clean: ## remove what was built here, .venv too; the cache folder of the user stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. Stamps inside .venv make it quick the second time, and go where .venv goes.
.PHONY: setup
setup: install
	@$(PY) -m llvm install-enzyme --unless-found

$(PY):
	@test -n "$(PYTHON)" || { echo "enzyme-sht needs Python >= 3.11 with venv and pip. Found none on"; \
		echo "the path. Install one, or name it: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@echo "== making $(VENV) with $(PYTHON) =="
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(PY)
	@echo "== installing the pinned packages into $(VENV) (a few minutes the first time) =="
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
