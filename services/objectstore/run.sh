#!/bin/bash
# SeaweedFS with only its S3 endpoint open. Master, volume, filer and their gRPC ports ask for no credentials, so they listen on
# loopback, where nobody else is. socat forwards port 8333. Flags: core's burnish.objectstores.seaweedfs.
# Ends when either ends. It uses TLS if BURNISH_TLS_CERTIFICATE and BURNISH_TLS_KEY name PEM files.
set -euo pipefail

refuse() { echo "objectstore cannot start: $*" >&2; exit 1; }
[ "${#AWS_ACCESS_KEY_ID}" -ge 8 ] || refuse "AWS_ACCESS_KEY_ID (BURNISH_S3_ACCESS_KEY) is empty or shorter than 8 characters: run \`make secrets\`"
[ "${#AWS_SECRET_ACCESS_KEY}" -ge 16 ] || refuse "AWS_SECRET_ACCESS_KEY (BURNISH_S3_SECRET_KEY) is empty or shorter than 16 characters: run \`make secrets\`"
[ "$AWS_ACCESS_KEY_ID" != "$AWS_SECRET_ACCESS_KEY" ] || refuse "access key and secret key are the same: run \`make secrets\`"

tls=()
if [ -n "${BURNISH_TLS_CERTIFICATE:-}${BURNISH_TLS_KEY:-}" ]; then
  [ -r "${BURNISH_TLS_CERTIFICATE:-}" ] && [ -r "${BURNISH_TLS_KEY:-}" ] || refuse "BURNISH_TLS_CERTIFICATE and BURNISH_TLS_KEY must both name files that uid $(id -u) may read"
  tls=("-s3.cert.file=$BURNISH_TLS_CERTIFICATE" "-s3.key.file=$BURNISH_TLS_KEY")
fi

socat TCP-LISTEN:8333,fork,reuseaddr,nodelay,backlog=256 TCP:127.0.0.1:18333,nodelay &
weed -logtostderr mini -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3.port=18333 \
  -volume.preStopSeconds=0 -master.telemetry=false -webdav=false -admin.ui=false -s3.port.iceberg=0 -s3.port.lance=0 \
  -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false "${tls[@]}" &
weed=$!
trap 'kill -TERM "$weed" 2>/dev/null' TERM INT
wait -n || true
kill -TERM $(jobs -p) 2>/dev/null || true
wait "$weed"
