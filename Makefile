# Targets: setup check test slow docs demo clean. Nothing is installed outside .venv.
# TORCH=cpu (default where offered) or TORCH=cuda picks the build of torch where both are to be had.
PY ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	>/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
TORCH ?= auto
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: setup check lint types layers docs-check test slow docs demo clean bench

setup: $(VENV)/.stamp

$(VENV)/.stamp: pyproject.toml constraints.txt
	@test -n "$(PY)" || { echo 'No Python 3.11 to 3.13 with venv and pip was found. Install it, or: make PY=/path/to/python'; exit 2; }
	$(PY) -m venv $(VENV)
	$(BIN)/python tools/install.py --torch $(TORCH)
	touch $@

check: setup lint types layers docs-check

lint: setup
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/vulture src --min-confidence 80
	$(BIN)/deptry src

types: setup
	$(BIN)/pyrefly check

layers: setup
	$(BIN)/lint-imports

docs-check: setup
	$(BIN)/python -m tools.docs --check

docs: setup
	$(BIN)/python -m tools.docs

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: setup
	$(BIN)/python -m pytest -m slow

demo: setup
	env -u OMP_NUM_THREADS $(BIN)/facewright demo

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache
