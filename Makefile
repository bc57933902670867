# The commands of the project. CI and tox run these same targets.

BIN ?= .venv/bin
PORT ?= 8000
MINUTES ?= 10
ARGS ?=

# tox brings an environment of its own (BIN), which is ready.
READY := $(if $(filter .venv/bin,$(BIN)),.venv/.ready)
PEERS := $(if $(READY),.venv/.peers)
NPM := $(shell command -v npm)
MODULES := $(if $(NPM),client/node_modules/.package-lock.json)
BUNDLE := notify/static/notify

.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench docs release build format \
	lint types layers migrations python js js-check built wheel

help:           ## This list (written from these comments)
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' Makefile | expand -t 12

demo: $(READY)  ## From a fresh clone to a running demo site (PORT=8000)
	@$(BIN)/python tools/check_port.py $(PORT)
	@$(BIN)/python manage.py migrate -v 0
	@$(BIN)/python manage.py demo_users
	@$(BIN)/python manage.py check
	@echo "The site: http://127.0.0.1:$(PORT)/  Ctrl-C ends it."
	@PATH="$(abspath $(BIN)):$$PATH" PYTHONUNBUFFERED=1 PORT=$(PORT) \
		$(BIN)/honcho start || test $$? -eq 130  # Ctrl-C

test: python $(if $(ARGS),,js)  ## From a fresh clone to a green test run (ARGS="-k outbox" narrows it)

check: lint types layers migrations test js-check built docs wheel  ## What CI runs

soak: $(READY) ## The rules by 100,000 random schedules, the faults in full, random faults under load (MINUTES=10)
	$(BIN)/python -m tests.model --schedules 100000
	NOTIFY_TEST_THOROUGH=1 $(BIN)/python -m pytest -q -m faults
	NOTIFY_TEST_THOROUGH=1 $(BIN)/python -m pytest -q tests/browser/test_proxies.py
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

bench: $(READY) $(PEERS) $(if $(NPM),benchmarks/node_modules/.package-lock.json) ## Side by side with the peers, in one run
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY)  ## Build the documentation; warnings are errors
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build

release: check  ## Check, date the changelog, commit "Version X.Y.Z", tag (VERSION=X.Y.Z)
	$(BIN)/python tools/release.py $(VERSION)

build: $(MODULES) ## Bundle the client into notify/static/notify
	cd client && npm run build

format: $(READY) ## Format the sources and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The parts of check, each also by itself.

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/typos
	git ls-files -co --exclude-standard '*.py' | xargs -r $(BIN)/django-upgrade --target-version 5.2
	git ls-files -co --exclude-standard '*.html' | xargs -r $(BIN)/djade --check --target-version 5.2

types: $(READY)
	$(BIN)/mypy

layers: $(READY)
	$(BIN)/lint-imports --no-logo

migrations: $(READY)
	$(BIN)/python -m django makemigrations --check --dry-run --settings tests.settings --pythonpath .

python: $(READY) $(MODULES)
	$(BIN)/python tools/test.py $(ARGS)

wheel: $(READY)
	$(BIN)/python -m pytest -q -m wheel

ifdef NPM
js: $(MODULES)
	cd client && npm test

js-check: $(MODULES)
	cd client && npm run types && npm run size

# The bundle is committed: it must be what the sources build.
built: $(MODULES)
	rm -rf client/node_modules/.committed && cp -r $(BUNDLE) client/node_modules/.committed
	cd client && npm run build
	diff -r client/node_modules/.committed $(BUNDLE) \
		|| { echo "$(BUNDLE) was not built from these sources; it is now: commit it."; exit 1; }
else
js js-check built:
	@echo "npm is missing, $@ is skipped: apt-get install nodejs npm"
	@test -z "$$NOTIFY_TEST_REQUIRE_ALL"
endif

.venv/.ready: setup.cfg pyproject.toml tools/venv
	tools/venv

.venv/.peers: .venv/.ready
	.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[bench]'
	touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	touch $@
