#!/bin/bash
# Healthy: the S3 endpoint answers, and the master has a volume that takes writes (a moment later than the endpoint).
set -euo pipefail
exec 3<>/dev/tcp/127.0.0.1/9333
printf 'GET /dir/assign HTTP/1.0\r\n\r\n' >&3
grep -q '"fid"' <&3
if [ -n "${BURNISH_TLS_CERTIFICATE:-}" ]; then
  exec 4<>/dev/tcp/127.0.0.1/18333 # nothing here speaks TLS, so check that SeaweedFS itself listens
else
  exec 4<>/dev/tcp/127.0.0.1/8333
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&4
  head -n 1 <&4 | grep -q ' 200 '
fi
