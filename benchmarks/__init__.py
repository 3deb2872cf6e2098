"""How fast the system is, beside stock nameko and beside physical limits: `python -m benchmarks`, `make bench`."""
