#!/bin/sh
# Find a Python that is new enough and have it make the virtual environment. $PYTHON, if set, is the one to use.
set -eu

usable() { # usable PYTHON OLDEST NEWEST+1, as minor versions of Python 3
    "$1" -c "import sys; sys.exit(not (3, $2) <= sys.version_info[:2] < (3, $3))" 2>/dev/null
}

for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if usable "$candidate" 11 14; then
        exec "$candidate" "$(dirname "$0")/bootstrap.py" "$@"
    fi
done
for candidate in ${PYTHON:-python3 python3.14 python}; do
    if usable "$candidate" 11 99; then
        exec "$candidate" "$(dirname "$0")/bootstrap.py" "$@"
    fi
done

echo "error: Python 3.11, 3.12 or 3.13 is needed${PYTHON:+, and PYTHON=$PYTHON is none}." >&2
echo "Install one (Debian 12, Ubuntu 24.04: apt-get install python3; macOS: brew install python@3.13)," >&2
echo "or name it: make PYTHON=/path/to/python3.12 ..." >&2
exit 1
