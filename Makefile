# `make demo` needs Python 3.10 or newer, a C++17 compiler and a package index; `make test` installs everything else by itself.
# No environment has to be activated: each target uses its own. PYTHON chooses another interpreter.

PYTHON ?= python3
RUNTIME := .venv
DEV := .venv-dev
EXTRAS := cpu,openvino,train,export,server,bench,dev
DEMO_IMAGE ?= examples/kodim23.png
# TESTS narrows pytest: make pytest TESTS="tests/runtime -k stream"
TESTS ?=
# BENCH chooses the suites: make bench BENCH="--suite all --report"
BENCH ?= --quick
JOBS ?= 2

PIP := -m pip --disable-pip-version-check install --quiet
RECIPE := pyproject.toml setup.py constraints.txt
NATIVE := $(shell find cpp_range_coder -name '*.cpp' -o -name '*.h' -o -name '*.py' -o -name '*.pyi')
RUNTIME_SOURCES := $(NATIVE) $(shell find runtime ugicm_train export -type f -not -name '*.pyc')

.PHONY: help demo test check lint pytest test-cpp test-sanitize bench clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    install the runtime in .venv, code a photo and decode both views into demo_output/'
	@echo 'make test    install everything in .venv-dev, run the C++ and Python tests'
	@echo 'make lint    ruff and mypy'
	@echo 'make check   lint, C++ tests with sanitizers, Python tests'
	@echo 'make bench   time this machine and run a small part of the benchmarks'
	@echo 'make clean   remove environments, builds and demo output'

demo: $(RUNTIME)/.installed
	@$(RUNTIME)/bin/python examples/demo.py $(DEMO_IMAGE) --out demo_output

test: test-cpp pytest

check: lint test-sanitize pytest

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy

pytest: $(DEV)/.installed
	$(DEV)/bin/python -m pytest $(TESTS)

test-cpp: $(DEV)/.installed
	$(DEV)/bin/cmake -S cpp_range_coder -B build/cpp-release -DCMAKE_BUILD_TYPE=Release
	$(DEV)/bin/cmake --build build/cpp-release --parallel $(JOBS)
	$(DEV)/bin/ctest --test-dir build/cpp-release --output-on-failure --no-tests=error

test-sanitize: $(DEV)/.installed
	$(DEV)/bin/cmake -S cpp_range_coder -B build/cpp-sanitize -DCMAKE_BUILD_TYPE=Debug -DUGICM_SANITIZE=ON
	$(DEV)/bin/cmake --build build/cpp-sanitize --parallel $(JOBS)
	$(DEV)/bin/ctest --test-dir build/cpp-sanitize --output-on-failure --no-tests=error

bench: $(DEV)/.installed
	$(DEV)/bin/ugicm bench --image $(DEMO_IMAGE) --threads 1
	$(DEV)/bin/python -m benchmarks.run $(BENCH)

clean:
	rm -rf $(RUNTIME) $(DEV) build dist demo_output *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f cpp_range_coder/ugicm_coder/*.so

$(RUNTIME)/bin/python $(DEV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo 'Python 3.10 or newer is needed; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv $(@D:/bin=)

# A stale build folder would put files into the wheel that no longer exist in the sources.
$(RUNTIME)/.installed: $(RUNTIME)/bin/python $(RECIPE) $(RUNTIME_SOURCES)
	rm -rf build/lib* build/bdist* build/temp*
	$(RUNTIME)/bin/python $(PIP) '.[cpu]'
	@touch $@

$(DEV)/.installed: $(DEV)/bin/python $(RECIPE) $(NATIVE)
	rm -rf build/lib* build/bdist* build/temp*
	$(DEV)/bin/python $(PIP) --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@
