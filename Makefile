# Two commands on a fresh machine: `make demo` and `make test`.
# TORCH_INDEX_URL picks a PyTorch build (see PyTorch's install page); empty takes pip's default.
PYTHON ?= python3
VENV ?= .venv
DEMO_DIR ?= demo
TRAIN_DIR ?= trained
RECIPES := src/stormcell/learning/recipes
TORCH_INDEX_URL ?=
JOBS ?= 2
BENCH ?= all
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINED := -c constraints.txt

.PHONY: help demo test lint types contracts bench train-dense train-deepstorm train-annapalm docs clean

help:
	@echo "make demo   install, then localize a simulated dense movie and write demo/report.html"
	@echo "make test   install, then lint, type-check, import contracts and all tests"
	@echo "make lint | types | contracts | bench | train-dense | train-deepstorm | train-annapalm | docs | clean"

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) $(shell grep '^torch==' constraints.txt)
	$(PIP) install -q $(CONSTRAINED) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) install -q $(CONSTRAINED) -e ".[all,dev]"
	@touch $@

demo: $(VENV)/.core
	$(BIN)/stormcell demo -o $(DEMO_DIR) --overwrite

test: lint types contracts
	$(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks docs examples
	$(BIN)/ruff format --check src tests benchmarks docs examples

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(BENCH)

train-dense: $(VENV)/.core
	$(BIN)/stormcell train dense --config $(RECIPES)/dense-first.yaml -o $(TRAIN_DIR)/first
	$(BIN)/stormcell train dense --from $(TRAIN_DIR)/first --config $(RECIPES)/dense-second.yaml -o $(TRAIN_DIR)/second
	$(BIN)/stormcell train dense --from $(TRAIN_DIR)/second --config $(RECIPES)/dense.yaml -o $(TRAIN_DIR)/dense

train-deepstorm: $(VENV)/.core
	$(BIN)/stormcell train deepstorm --config $(RECIPES)/deepstorm-first.yaml -o $(TRAIN_DIR)/deepstorm-first
	$(BIN)/stormcell train deepstorm --from $(TRAIN_DIR)/deepstorm-first --config $(RECIPES)/deepstorm-last.yaml \
	  -o $(TRAIN_DIR)/deepstorm-2018

train-annapalm: $(VENV)/.core
	$(BIN)/stormcell train annapalm --config $(RECIPES)/annapalm-first.yaml -o $(TRAIN_DIR)/annapalm-first
	$(BIN)/stormcell train annapalm --from $(TRAIN_DIR)/annapalm-first --config $(RECIPES)/annapalm.yaml \
	  -o $(TRAIN_DIR)/annapalm

docs: $(VENV)/.core
	$(PIP) install -q $(CONSTRAINED) -e ".[docs]"
	$(BIN)/sphinx-build -W -q docs docs/_build

clean:
	rm -rf $(VENV) $(DEMO_DIR) docs/_build docs/reference .mypy_cache .ruff_cache .pytest_cache
