#!/bin/bash
# Creates the database `burnish` of the user `burnish` if there is none yet, then runs the server.
# BURNISH_POSTGRES_PASSWORD sets the user's password at the first start; docs/operations.md says how to change it.
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ "${#BURNISH_POSTGRES_PASSWORD}" -lt 16 ]; then
    echo "postgres cannot start: BURNISH_POSTGRES_PASSWORD is empty or shorter than 16 characters: run \`make secrets\`" >&2
    exit 1
  fi
  making="$PGDATA.making"
  rm -rf "$making"
  initdb --pgdata="$making" --username=burnish --pwfile=<(printf '%s' "$BURNISH_POSTGRES_PASSWORD") \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums >&2
  echo 'host all burnish all scram-sha-256' >>"$making/pg_hba.conf"
  echo 'create database burnish' | postgres --single -D "$making" -c unix_socket_directories=/tmp postgres >&2
  mv "$making" "$PGDATA"
fi
unset BURNISH_POSTGRES_PASSWORD
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
