"""The same stack in containers: the compose file, its secrets, and the commands of the Makefile."""
