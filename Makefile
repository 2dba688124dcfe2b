# Two commands from nothing: `make demo` shows it working, `make test` proves it.
# A second run reuses the environment; `make clean` starts over.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# A process a core, each file of tests in one of them; more than four want more memory than they save time.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow test-machines test-minimum mutants docs lint clean

demo: $(STAMP)
	$(BIN)/rsdet demo

test: $(STAMP)
	$(PYTEST)

test-slow: $(STAMP)
	$(PYTEST) -m slow

# The suite as other machines would run it: one thread and two, random orders, plain vector units. Four times as long.
test-machines: $(STAMP)
	PYTHON=$(BIN)/python bash .ci/machines

# The suite with the oldest versions that pyproject.toml allows, in an environment of its own.
test-minimum:
	PYTHON=$(PYTHON) bash .ci/minimum

# What tests notice of changes to the code: goes on where it was stopped; MUTANTS="--first 50" or "--again survived".
mutants: $(STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[mutants]"
	$(BIN)/python .ci/mutants $(MUTANTS)

# The site, into .site/site; fails on a link that leads nowhere. ZENSICAL=... takes one that is installed elsewhere.
docs: $(STAMP)
	$(if $(ZENSICAL),,$(BIN)/python -m pip install --quiet --editable ".[docs]")
	$(BIN)/python docs/build.py $(or $(ZENSICAL),$(BIN)/zensical)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test,openvino]"
	touch $(STAMP)

clean:
	rm -rf $(VENV)
