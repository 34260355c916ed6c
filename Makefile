# Each target installs what it needs (uv included, see tools/find-uv) and is quick the second time.
# `make test` is what CI runs.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Which tests a stage runs: by marker, so that each test runs in exactly one.
UNITS := not kafka and not model and not operations and not long
BROKER := kafka and not model and not operations and not long
MODEL := model and not operations and not long
OPERATIONS := operations and not long

.PHONY: help setup demo test lint bench bench-gpu bench-check parity sim kill faults fuzz soak clean test-python stage-units stage-broker stage-model stage-operations test-ops pictures format

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: .venv/.forecart-full ## Everything for working on Forecart, in .venv

demo: .venv/.forecart-base ## A simulated shop, scored live (SECONDS=60: ends by itself)
	@exec $(BIN)/forecart demo $(if $(SECONDS),--seconds $(SECONDS))

test: ## All tests, in stages: set-up, lint, units, broker, model, operations
	@MAKE="$(MAKE)" tools/stages setup lint stage-units stage-broker stage-model stage-operations

lint: .venv/.forecart-full ## Ruff, its formatter, and mypy
	@status=0; \
	for check in "ruff check ." "ruff format --check ." mypy; do \
		echo "$(BIN)/$$check"; $(BIN)/$$check || status=1; \
	done; exit $$status

format: .venv/.forecart-full ## Let Ruff format and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stage-units: .venv/.forecart-full ## Tests that need neither broker nor training (ARGS=...)
	$(BIN)/pytest -m "$(UNITS)" --durations=5 $(ARGS)

stage-broker: .venv/.forecart-full ## Tests on a real Kafka
	$(BIN)/pytest -m "$(BROKER)" --durations=10 $(ARGS)

stage-model: .venv/.forecart-full ## Tests that train or need torch
	$(BIN)/pytest -m "$(MODEL)" --durations=5 $(ARGS)

stage-operations: .venv/.forecart-full ## Tests with a real Prometheus, on a worker under load
	$(BIN)/pytest -m "$(OPERATIONS)" --durations=5 $(ARGS)

test-python: ## Units on another Python, in build/ (PYTHON=3.12, or the path of one)
	@tools/test-python "$(or $(PYTHON),3.12)" -m "$(UNITS)" $(ARGS)

test-ops: .venv/.forecart-full ## What is deployed and watched, whole: a tool that is missing is a failure
	@mkdir -p build && $(BIN)/pytest -m "not long" tests/deploy tests/ops tests/contracts tests/packaging $(ARGS) | tee build/test-ops.log
	@! grep '^SKIPPED ' build/test-ops.log

pictures: .venv/.forecart-full ## Draw the dashboards from a real worker: docs/pictures (needs Chromium)
	@exec $(BIN)/python -m tests.ops.pictures

bench: .venv/.forecart-full ## Measure, with the floor in the same run (ONLY=step: one of them)
	@exec $(BIN)/python -m tests.bench.run $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-gpu: .venv/.forecart-full ## A worker's parts in memory, no Kafka: CUDA where it is found, and the CPU beside it
	@exec $(BIN)/python -m tests.bench.memory $(ARGS)

bench-check: .venv/.forecart-full ## Each rival takes a small load and every event gets its record
	@exec $(BIN)/pytest -q -m long tests/bench $(ARGS)

parity: .venv/.forecart-full ## Kill a worker half-way; recompute every digest and score
	@exec $(BIN)/pytest -q -s -m long tests/e2e/test_parity.py

sim: .venv/.forecart-full ## Faults from seeds on a fake broker (SEEDS=0..1000); goes on where it ended
	@exec $(BIN)/python -m tests.sim.run --seeds $(or $(SEEDS),0..1000) $(ARGS)

kill: .venv/.forecart-full ## Kill a worker under load RUNS times (50), each run audited; goes on where it ended
	@exec $(BIN)/python -m tests.faults.kill --runs $(or $(RUNS),50)

fuzz: .venv/.forecart-full ## Hostile input: INPUTS events (10,000,000) and shares of the rest; goes on where it ended
	@exec $(BIN)/python -m tests.fuzz.run --inputs $(or $(INPUTS),10000000) $(ARGS)

soak: .venv/.forecart-full ## Users come and go for MINUTES (60) on a real broker: memory and cost stay
	@exec $(BIN)/python -m tests.bounds.soak --minutes $(or $(MINUTES),60) $(ARGS)

faults: .venv/.forecart-full ## Halt, kill and restart workers and brokers under load (minutes; ARGS=...)
	@exec $(BIN)/pytest -s -m long tests/faults $(ARGS)

clean: ## Remove what was built; the embedded broker and its data are the user's and stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is stamped inside .venv: the stamp goes when .venv goes.
.venv/.forecart-full: pyproject.toml uv.lock
	@tools/sync full
	@touch .venv/.forecart-base $@

.venv/.forecart-base: pyproject.toml uv.lock
	@tools/sync base
	@touch $@
