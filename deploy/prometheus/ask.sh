#!/bin/bash
# Queries this container's Prometheus with its token and TLS: ask.sh /-/ready; ask.sh /api/v1/query --data-urlencode query=ALERTS
# -k: it connects over loopback, which the certificate need not name.
set -euo pipefail
token=${BURNISH_TOKEN//\\/\\\\}
printf 'user = "burnish:%s"' "${token//\"/\\\"}" \
  | curl -fsSk --max-time 5 -K - "http${BURNISH_TLS_CERTIFICATE:+s}://127.0.0.1:9090$1" "${@:2}"
