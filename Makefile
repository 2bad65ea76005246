# Each target sets up .venv itself and is quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip install --quiet --only-binary :all: -c constraints.txt

.PHONY: demo test test-vllm check fix clean install

install: $(STAMP)

# What a user has: without the libraries of training and of the tests.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e '.[demo,hub,keyring,plot]'
	@touch $@

$(DEV): $(STAMP)
	$(PIP) --no-build-isolation -e '.[demo,hub,keyring,plot,evaluate,train,data,scale,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/cogenesis demo

# Unit tests wait for sockets and deadlines, too: a third worker fills that time.
test: $(DEV)
	$(BIN)/python -m pytest tests/unit -n 3 --dist worksteal
	$(BIN)/python -m pytest tests/unit -n 2 --dist worksteal -m hypothesis --hypothesis-profile full
	$(BIN)/python -m pytest tests/thorough -n 2 --dist worksteal
	$(BIN)/python -m pytest tests/scale
	$(BIN)/python -m pytest tests/training -n 2 --dist worksteal
	$(BIN)/python -m pytest tests/integration -n 2 --dist loadfile

# Needs a vLLM server, or the package: says so and fails without. No part of `make test`.
test-vllm: $(DEV)
	$(BIN)/python -m pytest tests/vllm

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
