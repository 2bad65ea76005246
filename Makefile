# Each target sets up .venv itself and is quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-vllm check fix clean install

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --only-binary :all: --no-build-isolation -c constraints.txt -e '.[demo,hub,keyring,plot,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/cogenesis demo

test: $(STAMP)
	$(BIN)/python -m pytest tests/unit -n 2 --dist worksteal
	$(BIN)/python -m pytest tests/unit -n 2 --dist worksteal -m hypothesis --hypothesis-profile full
	$(BIN)/python -m pytest tests/thorough -n 2 --dist worksteal
	$(BIN)/python -m pytest tests/integration

# Needs a vLLM server, or the package: says so and fails without. No part of `make test`.
test-vllm: $(STAMP)
	$(BIN)/python -m pytest tests/vllm

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
