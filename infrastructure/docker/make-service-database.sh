#!/bin/sh
# Run once by PostgreSQL's image, on an empty cluster: the service's role, who owns the service's database and is
# nothing else; nobody else may connect to it.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set service="$SERVICE" <<'SQL'
\set password `cat "$SERVICE_PASSWORD_FILE"`
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service", postgres, template1 FROM PUBLIC;
SQL
