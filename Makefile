# One set of commands for people and for continuous integration.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS_AT_ONCE ?= 2
DATA := $(or $(DIPTYCH_DATA),../shared/data)
KEPT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/diptych-benchmarks/compression
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test long check bench clean help

help:
	@echo "make demo    install, then fit a model to the built-in digits (about 2 minutes)"
	@echo "make test    install what tests need, then run every check but the longest"
	@echo "make long    the tests of half a minute or more: processes that are killed, mostly"
	@echo "make check   format, lint, types, layers"
	@echo "make bench   the benchmarks behind the README's numbers (hours on 2 cores)"

demo: $(VENV)/all.installed
	$(BIN)/diptych fit digits --budget "drop<=3%, p99<=2ms, size<=100KB" --out digits.dip || test $$? -eq 3

test: $(VENV)/dev.installed check
	$(BIN)/python -m pytest -m "not long" --numprocesses $(TESTS_AT_ONCE) --dist loadfile

long: $(VENV)/dev.installed
	$(BIN)/python -m pytest -m long

check: $(VENV)/dev.installed
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.installed $(KEPT)/fashion-mnist-93.dip
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done
	@cd benchmarks && for job in peers ours race table; do \
		echo "== tasks.$$job"; ../$(BIN)/python -m tasks.$$job || exit 1; done
	@cd benchmarks && for job in pruning quantization precisions sparsity 'large --prepare' large \
		half_percent 'half_percent fashion-mnist-wide' 'half_percent cifar10' \
		'peers fashion-mnist --teacher $(KEPT)/fashion-mnist-93.dip' \
		'peers cifar10 --teacher ../examples/cifar10-tiny.dip'; do \
		echo "== compression.$$job"; ../$(BIN)/python -m compression.$$job || exit 1; done
	@cd benchmarks && for job in cifar10 compile data_path divergence kept_memory kills optimizers overhead scaling time_to_accuracy transfer; do \
		echo "== training.$$job"; ../$(BIN)/python -m training.$$job || exit 1; done

$(KEPT)/fashion-mnist-93.dip: | $(VENV)/dev.installed
	mkdir -p $(@D)
	$(BIN)/diptych train $(DATA)/fashion-mnist --recipe recipes/fashion-mnist-93.toml --out $@

$(VENV)/all.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[all]'
	touch $@

$(VENV)/dev.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/all.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache digits.dip digits.fit
