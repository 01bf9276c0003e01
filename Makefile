# ctconsole: `make demo` to see it, `make test` to trust it, `make help` for the rest.
BIN  := .venv/bin
SIZE ?= full
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test crash check format bench man screenshots clean

help: ## say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Debian packages, .venv and the compiled iterators; a second run takes a moment
	@deploy/setup.sh run

setup-dev:
	@deploy/setup.sh dev

demo: setup ## bring a lab node up with traffic and open the console on it (no terminal: the tour)
	@$(BIN)/ctconsole lab demo $(ARGS)

# The tests of one file run in a row, and so do those of one wing of the kernel's.
# ARGS="-k any_moment --moments 200 --timeout 1500" kills a resize at so many moments.
test: setup-dev ## the whole test suite, on the real kernel (ARGS="-k name" for a part, -n0: in a row)
	@$(BIN)/python -m $(if $(ARGS),pytest -n auto --maxprocesses 4 $(ARGS),tests)

crash: setup-dev ## break off and double whatever changes a node (ARGS="--tries 500 --seed 1 restart")
	@$(BIN)/python -m tests.crash $(ARGS)

coverage: setup-dev ## how much of each room the unit tests walk, with a floor under it
	@$(BIN)/coverage run -m pytest -q tests/unit --ignore=tests/unit/fuzz
	@$(BIN)/coverage json -q -o build/coverage.json
	@$(BIN)/python deploy/coverage_by_room.py

check: setup-dev ## ruff, mypy strict, the import arrows, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	clang-format --dry-run --Werror bpf/*.c bpf/*.h

format: setup-dev ## let ruff and clang-format lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	clang-format -i bpf/*.c bpf/*.h

bench: setup-dev ## figures beside their peers as ratios, also in build/bench.json (SIZE=small: quick; BASE=: the build before)
	@BASE='$(BASE)' $(BIN)/python -m tests.bench --size $(SIZE)

man: setup ## write the manual page into build/ctconsole.1
	@$(BIN)/ctconsole man > build/ctconsole.1

screenshots: setup-dev ## draw the pictures under screenshots/ anew (ARGS=--all: in every theme; ARGS=SCENE: that one)
	@$(BIN)/python deploy/screenshots.py $(ARGS)

clean: ## remove what the build made
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache
