# The commands of the project. CI and tox run the same targets.

BIN ?= .venv/bin
PORT ?= 8000
MINUTES ?= 10
ARGS ?=

# tox passes its own environment as BIN, which is already installed.
READY := $(if $(filter .venv/bin,$(BIN)),.venv/.ready)
PEERS := $(if $(READY),.venv/.peers)
# Empty if npm is missing, or if Node is older than client/package.json requires.
NPM := $(shell node tools/node.cjs 2>/dev/null && command -v npm)
MODULES := $(if $(NPM),client/node_modules/.package-lock.json)
BUNDLE := notify/static/notify
# Tests outside tests/faults that bound a delay.
TIMED := tests/conformance/test_drain.py tests/conformance/test_gone.py tests/conformance/proxies \
	$(patsubst %,tests/browser/test_%.py,proxies sharing transports unwrapped)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all check soak bench docs release build format messages \
	programs port quick rest lint types layers migrations js js-check built wheel

# A renamed folder or a removed Python breaks .venv, so it is created again.
ifneq ($(READY),)
ifneq ($(shell tools/venv --is-whole && echo yes),yes)
.PHONY: .venv/.ready
endif
endif

help:           ## This list (written from these comments)
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' Makefile | expand -t 12

demo: port $(READY)  ## From a fresh clone to a running demo site (PORT=8000)
	@exec $(BIN)/python tools/demo.py $(PORT)

test: programs quick $(if $(ARGS),,js)  ## Unit tests, JavaScript, the essentials in Chromium, from a fresh clone (ARGS="-k outbox" selects tests)

test-all: $(if $(ARGS),programs,test) rest  ## Also databases, queues, every server, faults and all of Chromium (ARGS selects tests)

# Measuring coverage slows the tests down, so a plain `make test` does not do it.
test-all check: export NOTIFY_TEST_COVERAGE = 1

check: test lint types layers migrations js-check built docs wheel rest  ## All checks that CI runs

soak: $(READY) ## Search the model and the write side at length, then all faults in full, and random faults under load (MINUTES=10)
	$(BIN)/python -m tests.model --schedules 100000
	$(BIN)/python -m tests.model --hunt --seed 10000
	NOTIFY_TEST_EXAMPLES=200 NOTIFY_TEST_DATABASE=postgresql $(BIN)/python -m pytest -q -k "every_program or whatever_has_happened or late_and_repeated" tests/unit
	NOTIFY_TEST_THOROUGH=1 $(BIN)/python -m pytest -q -m faults
	NOTIFY_TEST_THOROUGH=1 $(BIN)/python -m pytest -q $(TIMED)
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

bench: $(READY) $(PEERS) $(if $(NPM),benchmarks/node_modules/.package-lock.json) ## Compare with the peers in one run
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY)  ## Build the documentation; warnings are errors
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build

release: check  ## Check, date the changelog, commit "Version X.Y.Z", tag (VERSION=X.Y.Z)
	$(BIN)/python tools/release.py $(VERSION)

build: $(MODULES) ## Bundle the client into notify/static/notify
	cd client && npm run build

messages: $(READY)  ## Collect the texts for the translations, and compile these
	cd notify && $(abspath $(BIN))/django-admin makemessages --all --add-location file --no-obsolete
	cd notify && $(abspath $(BIN))/django-admin compilemessages

format: $(READY) ## Format the sources and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The parts of test and check. Each can be run by itself.

programs:
	@tools/python tools/programs.py

port:
	@tools/python tools/check_port.py "$(PORT)"

quick: $(READY) $(MODULES)
	$(BIN)/python tools/test.py $(ARGS)

rest: $(READY) $(MODULES)
	$(BIN)/python tools/test.py $(if $(ARGS),--all,--rest) $(ARGS)

lint: $(READY)
	@git rev-parse --git-dir >/dev/null 2>&1 \
		|| { echo "make lint lists the files with git: run it in a clone."; exit 1; }
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/typos
	$(BIN)/python tools/prose.py
	git ls-files -co --exclude-standard '*.py' | xargs -rd '\n' $(BIN)/django-upgrade --target-version 5.2
	git ls-files -co --exclude-standard '*.html' | xargs -rd '\n' $(BIN)/djade --check --target-version 5.2

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports --no-logo

migrations: $(READY)
	$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings --pythonpath .

wheel: $(READY)
	$(BIN)/python -m pytest -q -m wheel tests/projects/test_wheel.py

ifneq ($(NPM),)
js: $(MODULES)
	cd client && npm test

js-check: $(MODULES)
	cd client && npm run types && npm run size

# The bundle is committed, so it must match the sources.
built: $(MODULES)
	rm -rf client/node_modules/.committed && cp -r $(BUNDLE) client/node_modules/.committed
	cd client && npm run build
	diff -r client/node_modules/.committed $(BUNDLE) \
		|| { echo "$(BUNDLE) was out of date and has been rebuilt: commit it."; exit 1; }
else
js js-check built: programs
	@echo "Skipping $@, because the JavaScript tools are missing."
	@test -z "$$NOTIFY_TEST_REQUIRE_ALL"
endif

.venv/.ready: setup.cfg pyproject.toml tools/venv
	tools/venv

.venv/.peers: .venv/.ready
	.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[bench]'
	touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	@echo "Installing the JavaScript tools into $*/node_modules."
	cd $* && npm ci --no-audit --no-fund
	touch $@
