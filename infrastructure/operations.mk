# Targets for who operates the company; included by the Makefile. docs/operations.md tells when to use which.

.PHONY: dead-letters backup restore psql

dead-letters: setup ## look at dead letters, send them again [DO=list|show|requeue|discard QUEUE= ID= REASON= LIMIT= BODY=file ALL=1 FORCE=1 JSON=1]
	@$(PY) -m infrastructure.dead_letters "$${DO:-list}" $${QUEUE:+--queue "$$QUEUE"} $${ID:+--id "$$ID"} \
		$${REASON:+--reason "$$REASON"} $${LIMIT:+--limit "$$LIMIT"} $${BODY:+--body "$$BODY"} \
		$${ALL:+--all} $${FORCE:+--force} $${JSON:+--json}

backup: setup ## back up the databases [SERVICE=bike|trip TO=folder]
	@$(PY) -m infrastructure.backups backup

restore: setup ## restore a backup into an empty database SERVICE=bike|trip FROM=file [DATABASE=name]
	@$(PY) -m infrastructure.backups restore

psql: setup ## open psql on a service's database SERVICE=bike|trip|admin [DATABASE=name SQL='SELECT ...']
	@$(PY) -m infrastructure.backups psql
