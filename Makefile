# make demo   the whole job on data/sample: raw files to checkpoint, sample text and report
# make test   the tests
# Both set up .venv by themselves; a GPU user picks the build: make setup TORCH='torch>=2.13'
PYTHON ?= python3
TORCH ?= torch==2.13.0
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1
export HF_HUB_OFFLINE = 1

.PHONY: setup demo test test-all lint bench clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) "$(TORCH)"
	$(PIP) --editable .
	.venv/bin/python -m pipeline.warm
	touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[dev]'
	touch $@

demo: .venv/.installed
	.venv/bin/tokenmill run configs/demo.toml --root runs/demo
	.venv/bin/tokenmill sample runs/demo --prompt "The history of"
	@echo "report: runs/demo/report/index.html"

test: .venv/.installed-dev
	.venv/bin/python -m pytest -m "not slow" -n 2 --dist loadgroup

test-all: .venv/.installed-dev
	.venv/bin/python -m pytest

lint: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/.installed-dev
	.venv/bin/tokenmill bench

clean:
	rm -rf .venv runs
