#!/usr/bin/env bash
# An environment that has the providers' SDKs, beside one that has everything else: requirements/hosted.lock, of which only those packages are
# installed that the other does not have in the same version. Run by scripts/setup.sh and by the trainer's Dockerfile.
#   scripts/hosted_env.sh PLACE BESIDE LOCK…   LOCK: what BESIDE was made from; its Python must have pip
set -euo pipefail
place=$1 beside=$2; shift 2
packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
"$beside/bin/python" -m venv --clear --without-pip "$place"
awk '!/^[A-Za-z0-9]/ { next } FILENAME !~ /hosted\.lock$/ { known[$1]; next } !($1 in known)' \
  "$@" "$(dirname "$0")/../requirements/hosted.lock" >"$place/own.lock"
"$beside/bin/python" -m pip --python "$place/bin/python" install --no-compile --no-deps --require-hashes -r "$place/own.lock"
echo "import site; site.addsitedir('$(packages "$beside")')" >"$(packages "$place")/burnish-beside.pth"
