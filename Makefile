# Everything a contributor or CI runs, from a fresh machine with Python (3.10 or later), a C compiler and make.
# Each target sets itself up: it makes a virtual environment and installs the package into it, not editable,
# so that what runs is what users get. The package is installed again only when a source file changed.
#
#   make demo           a bridge, a publisher and a subscriber on this machine, every message checked
#   make test           the test suite              (ARGS="-k frames" passes arguments on to pytest)
#   make test-long      the tests that take minutes
#   make test-sanitize  the compiled parts under the address and undefined-behaviour sanitizers
#   make lint           ruff, mypy, and whether generated files are up to date (make format puts right what ruff can)
#   make generate       generates again what is committed of generated files
#   make bench          the benchmarks, in under 20 minutes (ARGS="codec/decode bridge" measures these alone)
#   make bench-quick    … a short round of each: whether they run
#   make bench-peers    installs who they compare with; who is not there is left out
#   make bench-compare  BASE=FILE: what became slower since the results in that file
#   make bench-report   docs/benchmarks.md and its pictures from the last results
#   make docs           the documentation as a site, in build/site
#   make clean          removes all that these made

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
RESULTS ?= build/benchmarks.json

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WHEEL := build/wheel-$(notdir $(VENV))
SANITIZERS ?= address,undefined
SANITIZED_TESTS = $(addprefix tests/test_, $(addsuffix .py, golden messages frames arrays pool writer fuzz \
	random_schemas message_queue message_bus transport negotiated arrays_from_the_wire threads_on_one_transport data_plane))

GENERATED := $(addprefix examples/,rust/messages.rs c/messages.h ocaml/messages.ml julia/messages.jl)

SOURCES := pyproject.toml setup.py MANIFEST.in contracts.yaml $(wildcard codegen_templates/*) \
	$(shell find mycelium_fast -type f \( -name '*.py' -o -name '*.pyx' -o -name '*.px[di]' -o -name '*.[ch]' \
	-o -name '*.html' -o -name '*.yaml' -o -name 'py.typed' \))

export MYCELIUM_WHEEL = $(CURDIR)/$(WHEEL)

.PHONY: install demo test test-long install-sanitize test-sanitize sanitized lint format generate docs clean \
	bench bench-quick bench-peers bench-compare bench-report
.DELETE_ON_ERROR:

install: $(INSTALLED)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# Dependencies, when they changed; --group needs pip 25.1.
$(VENV)/.dependencies: pyproject.toml | $(BIN)/python
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --group build --group test --group bench --group lint
	touch $@

$(INSTALLED): $(VENV)/.dependencies $(SOURCES)
	@# setuptools keeps files of modules that are gone in build/lib*.
	rm -rf build/lib.* build/lib build/bdist.* $(WHEEL)
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir $(WHEEL) .
	$(PIP) install --force-reinstall --no-deps $(WHEEL)/*.whl
	for wheel in $(WHEEL)/*.whl; do $(PIP) install "$${wheel}[all]" || exit 1; done
	touch $@

demo: $(INSTALLED)
	cd $(VENV) && bin/mycelium demo $(ARGS)

test: $(INSTALLED)
	$(BIN)/pytest -m 'not long' $(ARGS)

test-long: $(INSTALLED)
	$(BIN)/pytest -m long $(ARGS)

install-sanitize:
	$(MAKE) VENV=.venv-sanitize MYCELIUM_SANITIZE=$(SANITIZERS) install

test-sanitize:
	$(MAKE) VENV=.venv-sanitize MYCELIUM_SANITIZE=$(SANITIZERS) sanitized

# Freed memory has to go back to malloc to be watched; the interpreter itself leaks on purpose at exit.
sanitized: export PYTHONMALLOC = malloc
sanitized: export ASAN_OPTIONS = detect_leaks=0:allocator_may_return_null=1:handle_segv=1
sanitized: export UBSAN_OPTIONS = print_stacktrace=1:halt_on_error=1
sanitized: $(INSTALLED)
	LD_PRELOAD="$$($${CC:-cc} -print-file-name=libasan.so)" \
		$(BIN)/pytest -m 'not long' -p no:cacheprovider $(SANITIZED_TESTS) $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mycelium check contracts.yaml $(GENERATED) --template examples/julia/messages.jl.j2

# Generated files that are committed: what the languages' examples use.
generate: $(INSTALLED)
	$(BIN)/mycelium codegen contracts.yaml --quiet --rust-out examples/rust/messages.rs \
		--c-out examples/c/messages.h --ocaml-out examples/ocaml/messages.ml \
		--template examples/julia/messages.jl.j2 examples/julia/messages.jl

format: $(VENV)/.dependencies
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python benchmarks $(ARGS)

bench-quick: $(INSTALLED)
	$(BIN)/python benchmarks --quick $(ARGS)

bench-peers: $(VENV)/.dependencies
	$(PIP) install --group peers
	@command -v nats-server >/dev/null || test -x /usr/sbin/nats-server || { \
		command -v apt-get >/dev/null && test "$$(id -u)" = 0 && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends nats-server; } || \
		echo "nats-server: install it with your system's packages, or from https://nats.io/download"

bench-compare: $(INSTALLED)
	@test -n "$(BASE)" || { echo "which results to compare with? make bench-compare BASE=docs/benchmarks.json"; exit 2; }
	$(BIN)/python benchmarks/compare.py $(BASE) $(RESULTS) $(ARGS)

bench-report: $(INSTALLED)
	$(BIN)/python benchmarks/report $(RESULTS) $(ARGS)

docs: | $(BIN)/python
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --group docs
	$(BIN)/mkdocs build --quiet

clean:
	rm -rf build dist .venv .venv-sanitize *.egg-info $(patsubst %.pyx,%.c,$(filter %.pyx,$(SOURCES)))
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find mycelium_fast tests benchmarks -name '__pycache__' -prune -exec rm -rf {} +
	find mycelium_fast -name '*.so' -delete
