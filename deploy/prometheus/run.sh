#!/bin/bash
# Prometheus with the stack's token: it sends the token when it scrapes, and requires it (user burnish) from its own clients. If
# BURNISH_TLS_CERTIFICATE is set, it uses TLS for both. Its secrets are in /tmp, which is memory.
set -euo pipefail
umask 077
if [ "${#BURNISH_TOKEN}" -lt 16 ]; then
  echo "prometheus cannot start: BURNISH_TOKEN is empty or shorter than 16 characters: run \`make secrets\`" >&2
  exit 1
fi
printf '%s' "$BURNISH_TOKEN" >/tmp/burnish_token
{
  printf 'basic_auth_users: {burnish: "%s"}\n' "$(mkpasswd -m bcrypt -R 10 -s </tmp/burnish_token)"
  [ -z "${BURNISH_TLS_CERTIFICATE:-}" ] || printf 'tls_server_config: {cert_file: "%s", key_file: "%s"}\n' "$BURNISH_TLS_CERTIFICATE" "$BURNISH_TLS_KEY"
} >/tmp/web.yml
unset BURNISH_TOKEN

# The second trainer runs with the profile `postgres`. Once seen, it stays a target, so that an alert fires if it dies.
(
  until getent hosts trainer-2 >/dev/null; do sleep 10; done
  echo '[{"targets": ["trainer-2:9464"]}]' >/tmp/trainers.json
) &

exec prometheus --config.file="/etc/prometheus/prometheus${BURNISH_TLS_CERTIFICATE:+.tls}.yml" --web.config.file=/tmp/web.yml \
  --storage.tsdb.path=/data --storage.tsdb.retention.time="${BURNISH_PROMETHEUS_RETENTION:-30d}" --log.format=json
