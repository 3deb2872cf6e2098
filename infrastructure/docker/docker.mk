# The stack in containers; included by the root Makefile. Options are read by `python -m infrastructure.compose`.

COMPOSE := $(PY) -m infrastructure.compose

.PHONY: docker-base docker-build docker-run docker-down docker-test docker-file

docker-base: ## make a base image of Debian's packages, for machines that cannot pull one (root; debootstrap)
	@infrastructure/docker/make-base-image.sh

docker-build: setup ## build all images [OFFLINE=1: on that base image, with broker and database of Debian]
	@$(COMPOSE) build

docker-run: setup ## run it in containers [SERVICES="gateway bike" PROCESSES="bike=2" GATEWAY_PORT=8000 BUILD=0]
	@$(COMPOSE) run

docker-down: setup ## stop and remove the containers [VOLUMES=1: with all data]
	@$(COMPOSE) down

docker-test: setup ## the end-to-end tests and the replay against the containers, which are started if need be
	@$(COMPOSE) test

docker-file: setup ## write infrastructure/docker-compose.yml anew from its template
	@$(COMPOSE) render

.PHONY: docker-lint
lint: docker-lint

docker-lint: setup ## hadolint, yamllint, and compose's own check, which says so when there is no compose
	@.venv/bin/hadolint */Dockerfile infrastructure/Dockerfile.* infrastructure/docker/Dockerfile.*
	@.venv/bin/yamllint --strict .
	@for compose in "docker compose" docker-compose; do \
		if $$compose version >/dev/null 2>&1; then exec $$compose -f infrastructure/docker-compose.yml config -q; fi; \
	done; echo "There is no compose here: its own check of the compose file was not made (tests/unit check its content)."
