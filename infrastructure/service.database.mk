# What the Makefiles of the services with a database have beside.

.PHONY: migrate migration

migrate: setup ## bring its database to the newest revision: the running stack's, or the one of *_DATABASE_URL
	@$(LOCAL) migrate

migration: setup ## write an empty revision with the next number NAME=tyre_pressure
	@$(LOCAL) migration
