# make demo      a trained tagger from nothing, on the built-in synthetic data set
# make test      the tests; make test-slow adds those that take longer
# make debian    what rendering MIDI needs from Debian: FluidSynth and soundfonts (as root, or with sudo)
# make bench     how fast it runs here; beside PyTorch, if .venv has it: .venv/bin/pip install torch
# make lint      ruff, mypy, import-linter
# make install   the set-up alone: .venv with the locked dependencies
# PYTHON=python3.12 chooses the interpreter (3.11 or 3.12).

PYTHON ?= python3
BIN := .venv/bin
RUNS ?= runs

.PHONY: demo install debian test test-slow lint format bench lock clean

install: .venv/installed

.venv/installed: requirements.lock setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 13); v = sys.version.split()[0]; \
	ok or sys.exit(f"Expected Python 3.11 or 3.12. Received: {v}. Choose one with PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

debian:
	$$(command -v sudo) apt-get install --yes fluidsynth fluid-soundfont-gm timgm6mb-soundfont opl3-soundfont

demo: install
	$(BIN)/python -m kmir.train zoo.dense_baseline --workdir $(RUNS)/demo-dense
	$(BIN)/python -m kmir.train zoo.crnn_tagger --workdir $(RUNS)/demo

test: install
	$(BIN)/python -m pytest

test-slow: install
	$(BIN)/python -m pytest -m slow

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m kmir.benchmark extract --json $(RUNS)/bench/extract.json
	$(BIN)/python -m kmir.benchmark input --json $(RUNS)/bench/input.json
	$(BIN)/python -m kmir.benchmark train --json $(RUNS)/bench/train.json
	$(BIN)/python -m kmir.benchmark predict --json $(RUNS)/bench/predict.json

# Needs uv. requirements.in overrides what setup.cfg says: tensorflow-cpu in place of tensorflow.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --extra test --extra lint \
	  --override requirements.in setup.cfg requirements.in --output-file requirements.lock

clean:
	rm -rf .venv build *.egg-info
