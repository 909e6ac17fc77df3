# Everything sets itself up in .venv: only Python 3.11 (or newer), make and git are needed.
# `make serve` and `make test` are the two commands; `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help serve test check crash storm bench clean lock

help:           ## List these targets.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

serve: .venv/serve  ## Serve on http://127.0.0.1:8080; options: make serve ARGS="--port 9000".
	$(BIN)/realtime serve $(ARGS)

test: .venv/test  ## Run every test; options: make test ARGS="-k limits".
	$(BIN)/python -m pytest $(ARGS)

check: .venv/test  ## Lint, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

crash: .venv/test  ## Kill services 200 times per level of durability; REALTIME_CRASH_ROUNDS=20 is less.
	$(BIN)/python -m tests.crash

storm: .venv/test  ## 200 clients that do anything at any time, for a minute, on each store.
	REALTIME_STORM_SECONDS=60 REALTIME_STORM_CLIENTS=200 $(BIN)/python -m pytest \
		tests/ws/test_great_storm.py -o log_cli=true -o log_cli_level=INFO $(ARGS)

bench: .venv/bench  ## Measure side by side with what people use today.
	$(BIN)/python -m loadtest.compare $(ARGS)

clean:          ## Remove what these targets made; the data directory stays.
	rm -rf .venv *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock:           ## Choose the newest versions again and write them into requirements/.
	sh requirements/lock.sh $(PYTHON)

# Each set of packages is installed at the exact versions of its lock, once per change of it.
.venv/%: requirements/%.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
