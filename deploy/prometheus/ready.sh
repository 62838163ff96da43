#!/bin/bash
# Healthy: the storage is open and the rules run. Debian's promtool has no question for that.
set -euo pipefail
exec 3<>/dev/tcp/127.0.0.1/9090
printf 'GET /-/ready HTTP/1.0\r\n\r\n' >&3
head -n 1 <&3 | grep -q ' 200 '
