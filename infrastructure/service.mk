# What the Makefiles of the services have in common; each sets SERVICE (bike), NEEDS (the services that `make run`
# starts) and says in its help what that is.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
ROOT := $(dir $(lastword $(MAKEFILE_LIST)))..
PY := .venv/bin/python
IN_ROOT := cd "$(ROOT)" &&
LOCAL := $(IN_ROOT) SERVICE=$(SERVICE) $(PY) -m infrastructure.local

.DEFAULT_GOAL := help
.PHONY: help setup run test clean shell

help: ## list the targets
	@echo "$(SERVICE)_service; make run starts the broker, the databases that are needed, and: $(NEEDS)"
	@cat $(MAKEFILE_LIST) | sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' \
		| awk -F'\t' '{ printf "%-16s %s\n", $$1, $$2 }'

setup:
	@$(IN_ROOT) sh infrastructure/bootstrap.sh

run: setup ## run it with what it needs, or add it to the stack that runs [PROCESSES= GATEWAY_ADDRESS= ...]
	@$(IN_ROOT) SERVICES="$(NEEDS)" $(PY) -m infrastructure.local run

test: setup ## run its tests [ARGS="-k name"]
	@$(IN_ROOT) $(PY) -m pytest tests/unit/test_$(SERVICE)_*.py tests/integration/test_$(SERVICE)_*.py $(ARGS)

clean: setup ## make its slate clean, after asking: queues and database of the local stack [FORCE=1]
	@$(LOCAL) clean-service

shell: setup ## open nameko's shell on the running stack
	@$(IN_ROOT) $(PY) -m infrastructure.local shell
