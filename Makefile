# Each target makes .venv and installs into it when it is missing or pyproject.toml is newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check perf docs clean

.venv/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs]'
	@touch $@

demo: .venv/.installed
	$(BIN)/headwater run quickstart
	$(BIN)/headwater leaderboard --store quickstart.duckdb
	$(BIN)/headwater leaderboard --selectors --store quickstart.duckdb

test: .venv/.installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

check: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

perf: .venv/.installed
	$(BIN)/python -m perf

docs: .venv/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv site build dist *.egg-info
