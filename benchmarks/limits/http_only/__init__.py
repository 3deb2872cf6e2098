"""The gateway without what is behind it, as a service of its own: `python -m shared.run http_only`."""
