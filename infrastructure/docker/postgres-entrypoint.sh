#!/bin/sh
# What the official image does on the first start: makes the cluster in PGDATA, with POSTGRES_USER as its superuser and
# the database POSTGRES_DB, and runs /docker-entrypoint-initdb.d/*.sh on a server that only this container can reach.
set -eu

: "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}" "${POSTGRES_INITDB_ARGS:=}"
export POSTGRES_USER POSTGRES_DB

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -s "${POSTGRES_PASSWORD_FILE:-}" ] || {
        echo "error: POSTGRES_PASSWORD_FILE must name a file with the superuser's password" >&2
        exit 1
    }
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # shellcheck disable=SC2086 # several arguments
    initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth-local trust $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait -o "-c listen_addresses=''" start
    [ "$POSTGRES_DB" = postgres ] || createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        # one that is not executable is sourced, as the official image does
        # shellcheck disable=SC1090
        if [ -x "$script" ]; then "$script"; elif [ -f "$script" ]; then . "$script"; fi
    done
    pg_ctl --wait --mode fast stop
fi
exec "$@"
