# Everything a contributor does; `make help` lists it. Needs Python 3.11 or later, pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NAPARI := .venv-napari
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo demo-train test test-slow napari check format bench docs journeys device-bundle device clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/core  ## Make sample data, degrade, enhance and score it, print the table
	$(BIN)/cellqa demo cellqa-demo --overwrite

demo-train: $(VENV)/gan  ## Prepare simulated pairs, train a small network on them, validate it
	$(BIN)/ciegan demo ciegan-demo --overwrite

test: $(VENV)/test  ## Run every test
	$(BIN)/python -m pytest -n auto --maxprocesses 8

test-slow: $(VENV)/test  ## Run the long versions of the kill, fuzz and cluster tests
	$(BIN)/python -m pytest -m slow tests

napari: $(NAPARI)/test  ## Install and test the napari plugin, headless
	cd plugins/napari-cellqa && $(shell command -v xvfb-run >/dev/null && echo xvfb-run -a) $(CURDIR)/$(NAPARI)/bin/python -m pytest

check: $(VENV)/test  ## Lint, formatting, types, who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/test  ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(VENV)/test  ## Print the benchmark tables
	$(BIN)/python benchmarks/bench_metrics.py
	$(BIN)/python benchmarks/bench_resolution.py
	$(BIN)/python benchmarks/bench_belief.py
	$(BIN)/python benchmarks/bench_score.py

journeys: $(VENV)/test  ## Three first hours in a new environment, made from a clone as the README says
	rm -rf .journeys && git clone --quiet . .journeys/cellqa && $(PYTHON) -m venv .journeys/env
	.journeys/env/bin/pip install --quiet --disable-pip-version-check './.journeys/cellqa[gan]' -c constraints.txt
	CELLQA_BIN=$(abspath .journeys/env/bin) $(BIN)/python -m pytest tests/journeys

docs: $(VENV)/docs  ## Build the documentation's site into site/, running its tutorials
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

device-bundle: $(VENV)/test  ## Gather what a bare machine with a CUDA device lacks; DATA=folder adds images
	$(BIN)/python benchmarks/device.py bundle $(if $(DATA),--data $(DATA))

device:  ## On such a machine: tests, speed, training, each stage within nine minutes
	$(PYTHON) benchmarks/device.py all

clean:  ## Remove the environment and what runs leave behind
	rm -rf $(VENV) $(NAPARI) cellqa-demo cellqa-results ciegan-demo bench-training bench-inference bench-device device-bundle site .docs-work .journeys .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/python-made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/core: $(VENV)/python-made pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/gan: $(VENV)/python-made pyproject.toml constraints.txt
	$(PIP) --editable '.[gan]'
	touch $@ $(VENV)/core

$(VENV)/docs: $(VENV)/python-made pyproject.toml constraints.txt
	$(PIP) --editable '.[docs]'
	touch $@ $(VENV)/core $(VENV)/gan

$(VENV)/test: $(VENV)/python-made pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/core $(VENV)/gan

$(NAPARI)/python-made:
	$(PYTHON) -m venv $(NAPARI)
	touch $@

$(NAPARI)/test: $(NAPARI)/python-made pyproject.toml constraints.txt plugins/napari-cellqa/pyproject.toml
	$(NAPARI)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt --editable . --editable 'plugins/napari-cellqa[test]'
	touch $@
