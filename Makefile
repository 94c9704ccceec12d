# Every target works on a fresh clone: the first one makes `.venv` and installs
# what it needs. Another interpreter: `make test PYTHON=python3.12`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := benchmarks experiments keras_chex tests setup.py
# Two test processes; `make test WORKERS=0` runs all tests in one. Each takes
# half of the files, then what the other has left: what the tests of a file
# share is made once.
WORKERS ?= 2
SHARED := --numprocesses=$(WORKERS) --dist=worksteal

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-jax test-torch check lint format slow large \
  fuzz models wheel clean

help:
	@echo "make demo    train the digits demo, dense and with CHEX"
	@echo "make test    run the tests"
	@echo "make test-jax, make test-torch   run those of the core on another"
	@echo "             backend, in an environment without TensorFlow"
	@echo "make check   run the linters, then the tests"
	@echo "make slow    run the tests that take ten seconds or more"
	@echo "make large   run all tests, also those that take minutes"
	@echo "make fuzz    check 2,000 random networks (FUZZ=... for another number)"
	@echo "make models  check keras.applications and KerasHub (takes hours)"
	@echo "make wheel   build the wheel and test it from a clean environment"
	@echo "make format  reformat the sources"
	@echo "make clean   remove .venv, caches and builds"

# The pip that Python 3.10 brings along tries versions of `urllib3` and others
# for more than ten minutes; a new one takes seconds.
$(STAMP): requirements.txt setup.py pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c "import sys; \
	  v = sys.version_info[:2]; \
	  ok = (3, 10) <= v <= (3, 13); \
	  ok or sys.exit('keras_chex needs Python 3.10 to 3.13, found %d.%d. ' \
	    'Name another one: make PYTHON=python3.12' % v)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: $(STAMP)
	$(BIN)/python experiments/digits.py $(DEMO_FLAGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(SHARED) $(PYTEST_FLAGS)

# Other backends of Keras, in environments without TensorFlow: `.venv-jax` and
# `.venv-torch`. Any build of PyTorch will do, such as the small one for
# processors: make test-torch \
#   TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
JAX ?= jax

.venv-jax/.installed: FIRST = $(JAX)
.venv-torch/.installed: FIRST = $(TORCH)

.venv-%/.installed: requirements-%.txt requirements.txt
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet $(FIRST)
	$(@D)/bin/python -m pip install --quiet --requirement requirements-$*.txt
	grep '^pytest' requirements.txt | \
	  xargs $(@D)/bin/python -m pip install --quiet
	$(@D)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

# The tests of what trains, cuts and stores networks. The others know no
# backend (algorithms, the sources) or are of programs for TensorFlow.
CORE_TESTS := $(addprefix tests/,analysis backends callbacks export graph \
  layers surgery test_api.py test_bad_input.py test_serialization.py \
  test_stale_traces.py test_zoo.py experiments/test_array_feed.py \
  experiments/test_scanned_feed.py)

# Most of the time on JAX goes into compiling small networks that run once.
test-jax: export JAX_DISABLE_MOST_OPTIMIZATIONS = 1
test-jax: export JAX_COMPILATION_CACHE_DIR = $(CURDIR)/.venv-jax/compiled
test-jax: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS = 0
test-jax: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES = -1
# Every test process has a core to itself.
test-torch: export OMP_NUM_THREADS ?= 1

test-jax test-torch: test-%: .venv-%/.installed
	KERAS_BACKEND=$* $(<D)/bin/python -m pytest -rs \
	  $(SHARED) $(PYTEST_FLAGS) $(CORE_TESTS)

slow: $(STAMP)
	$(BIN)/python -m pytest $(SHARED) --run_slow -m slow $(PYTEST_FLAGS)

large: $(STAMP)
	$(BIN)/python -m pytest $(SHARED) --run_large \
	  $(PYTEST_FLAGS)

FUZZ ?= 2000

fuzz: $(STAMP)
	KERAS_CHEX_FUZZ=$(FUZZ) $(BIN)/python -m pytest \
	  $(SHARED) $(PYTEST_FLAGS) tests/test_fuzz.py

# `MODELS_FLAGS="--only=ResNet50"` checks one; see the program for the others.
models: $(STAMP)
	$(BIN)/python -m pip install --quiet "keras-hub>=0.20"
	$(BIN)/python -m benchmarks.models $(MODELS_FLAGS) \
	  --page=docs/models.md

lint: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/python -m compileall -q $(SOURCES)

check: lint
	$(MAKE) test

format: $(STAMP)
	$(BIN)/ruff check --fix --select=I $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

# The tests run on a copy outside the tree, so that they import the installed
# package and nothing that only a checkout has.
wheel: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	rm -rf build/wheel_test
	$(PYTHON) -m venv build/wheel_test/venv
	build/wheel_test/venv/bin/python -m pip install --quiet --upgrade pip
	build/wheel_test/venv/bin/python -m pip install --quiet \
	  --requirement requirements.txt dist/*.whl
	cp -r *.md LICENSE Makefile docs pyproject.toml setup.py \
	  requirements*.txt tests benchmarks experiments build/wheel_test
	cd build/wheel_test && venv/bin/python -m pytest \
	  $(SHARED) --ignore=tests/test_floors.py \
	  --ignore=tests/test_packaging.py $(PYTEST_FLAGS)

clean:
	rm -rf $(VENV) .venv-jax .venv-torch build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
