#!/bin/bash
# Puts the token where the configuration reads it, in memory, and runs Prometheus; over TLS where BURNISH_TLS_CERTIFICATE is set.
set -euo pipefail
if [ "${#BURNISH_TOKEN}" -lt 16 ]; then
  echo "prometheus cannot start: BURNISH_TOKEN is empty or shorter than 16 characters: run \`make secrets\`" >&2
  exit 1
fi
(umask 077 && printf '%s' "$BURNISH_TOKEN" >/tmp/burnish_token)
unset BURNISH_TOKEN
exec prometheus --config.file="/etc/prometheus/prometheus${BURNISH_TLS_CERTIFICATE:+.tls}.yml" --storage.tsdb.path=/data \
  --storage.tsdb.retention.time="${BURNISH_PROMETHEUS_RETENTION:-30d}"
