#!/bin/bash
# Asks this container's Prometheus, whatever its door demands: ask.sh /-/ready; ask.sh /api/v1/query --data-urlencode query=ALERTS
# -k: it asks itself over loopback, where the certificate's name proves nothing.
set -euo pipefail
token=${BURNISH_TOKEN//\\/\\\\}
printf 'user = "burnish:%s"' "${token//\"/\\\"}" \
  | curl -fsSk --max-time 5 -K - "http${BURNISH_TLS_CERTIFICATE:+s}://127.0.0.1:9090$1" "${@:2}"
