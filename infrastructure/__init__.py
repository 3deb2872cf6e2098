"""What the services run on: the embedded broker and database of `make run`."""
