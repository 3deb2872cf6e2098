# `make` alone lists the targets; each sets up by itself what it needs. Options are given as NAME=value.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
PY := .venv/bin/python
LOCAL := $(PY) -m infrastructure.local

.DEFAULT_GOAL := help
.PHONY: help setup run up down status logs clean token shell replay demo simulate test test-browser screenshots faults fuzz
.PHONY: audit bench lint format lock

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: ## make .venv with the locked dependencies (the other targets do it as needed)
	@sh infrastructure/bootstrap.sh

run: setup ## run here until Ctrl-C [SERVICES="gateway bike" PROCESSES="gateway=2 bike=1" GATEWAY_ADDRESS=...]
	@$(LOCAL) run

up: setup ## run in the background, or add to what runs; returns when ready [SERVICES= PROCESSES= ...]
	@$(LOCAL) up

down: setup ## stop it
	@$(LOCAL) down

status: setup ## show the programs and their health
	@$(LOCAL) status

logs: setup ## follow the logs [SERVICE=gateway_service]
	@$(LOCAL) logs

clean: setup ## remove .local, with all data, after asking [FORCE=1]
	@$(LOCAL) clean

token: setup ## print a token ROLE=rider|operator|vehicle [SUB=subject, a bike's id for a vehicle]
	@$(LOCAL) token

shell: setup ## open nameko's shell on the running stack
	@$(LOCAL) shell

replay: setup ## ride real rides through the running stack and compare [DATA=file.csv.gz RIDES=n SPEED=600]
	@$(PY) -m replay $${DATA:+--data "$$DATA"} $${RIDES:+--rides "$$RIDES"} $${SPEED:+--speed "$$SPEED"}

demo: setup ## the recorded rides as a living fleet to watch, until Ctrl-C; starts the stack [SPEED=10 MINUTES=n MQTT=host:port GATEWAY=url]
	@$(PY) -m simulation demo $(SIMULATION)

simulate: setup ## random load, and a check of what came of it [BIKES=200 RIDERS=50 MINUTES=5 SEED=text SPEED=1 MQTT=host:port GATEWAY=url]
	@$(PY) -m simulation load $(SIMULATION) $${BIKES:+--bikes "$$BIKES"} $${RIDERS:+--riders "$$RIDERS"} $${SEED:+--seed "$$SEED"}

SIMULATION = $${GATEWAY:+--gateway "$$GATEWAY"} $${MINUTES:+--minutes "$$MINUTES"} $${SPEED:+--speed "$$SPEED"} \
	$${MQTT:+--mqtt "$$MQTT"}

test: setup ## run all tests, with branch coverage [ARGS="tests/unit -k name"]
	@$(PY) -m tests.run $(ARGS)

test-browser: setup ## run the tests in a browser, Debian's Chromium or the one that CHROMIUM names [ARGS="-k name"]
	@$(PY) -m pytest tests/browser --confcutdir=tests/browser --suppress-nameko-eventlet-notification $(ARGS)

screenshots: setup ## write docs/images/map-*.png anew, with the same browser
	@$(PY) -m tests.browser.screenshots

bench: setup ## measure beside stock nameko and physical limits [ONLY=name,name LONG=1 SECONDS_EACH=2 ROUNDS=2 SET="name.parameter=n" JSON=file]
	@$(PY) -m benchmarks $${ONLY:+--only "$$ONLY"} $(if $(filter-out 0,$(LONG)),--long) \
		$${SECONDS_EACH:+--seconds "$$SECONDS_EACH"} $${ROUNDS:+--rounds "$$ROUNDS"} $${SET:+--set "$$SET"} \
		$${JSON:+--json "$$JSON"} $(ARGS)

faults: setup ## let each fault strike once, or random ones for a time [LONG=1 SEED=n MINUTES=30 ARGS=...]
	@$(PY) -m pytest $(if $(filter-out 0,$(LONG)),tests/faults/long_run.py tests/faults/test_messages.py tests/faults/test_outbox_backlog.py -s,tests/faults) $(ARGS)

fuzz: setup ## many random requests against what /openapi.json declares [CASES=10000 SEED=n]
	@FUZZ_CASES=$${CASES:-10000} FUZZ_SEED=$$SEED $(PY) -m pytest tests/doors/test_fuzz.py -q -s

audit: setup ## known vulnerabilities of what the lock files name; asks the network, so no part of CI
	@if command -v uv >/dev/null; then set -- uv tool run pip-audit; else \
		test -x .local/audit/bin/pip-audit || \
			{ python3 -m venv .local/audit && .local/audit/bin/pip install --quiet pip-audit; } || exit 1; \
		set -- .local/audit/bin/pip-audit; fi; \
	"$$@" --strict --require-hashes --disable-pip --progress-spinner off -r requirements.lock && \
	"$$@" --strict --require-hashes --disable-pip --progress-spinner off -r requirements.runtime.lock

lint: setup ## ruff, mypy and the import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(PY) -m mypy .
	@.venv/bin/lint-imports

format: setup ## format the code, mend what ruff can
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

include infrastructure/operations.mk

lock: ## write requirements.lock (all) and requirements.runtime.lock (what an image needs) anew; needs uv
	@command -v uv >/dev/null || { echo "error: make lock needs uv" >&2; exit 1; }
	@$(call compile,requirements.lock,--group local --group dev $(ARGS))
	@$(call compile,requirements.runtime.lock,--constraint requirements.lock)

include infrastructure/docker/docker.mk

# $(call compile,FILE,OPTIONS): extras stay, since pip before 23.3 wants them in the file that has the hashes
define compile
	cp $(1) .new.lock 2>/dev/null || true; \
	env -u UV_INDEX -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
		UV_NATIVE_TLS=true UV_SYSTEM_CERTS=true uv pip compile --quiet --no-config --universal --generate-hashes \
		--python-version 3.11 --no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file .new.lock pyproject.toml $(2) >/dev/null && \
	if grep -n '://' .new.lock; then echo "error: $(1) would hold a URL" >&2; exit 1; fi && mv .new.lock $(1)
endef
