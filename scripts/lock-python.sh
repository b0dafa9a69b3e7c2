#!/usr/bin/env bash
# Makes the locks of python/requirements anew: one *.txt for each *.in, every package pinned with its hashes, for Linux and
# macOS on both processors. An existing lock is kept where it still fits; --upgrade takes the newest versions.
#
#   scripts/lock-python.sh [--upgrade]
#
# PyTorch's CPU wheel comes from the folder TORBIZ_WHEELS or PIP_FIND_LINKS where it is there, else from PyTorch's CPU index.
set -euo pipefail

UV_VERSION=$(sed -n "s/^uv==//p" "$(dirname "$0")/../python/requirements/uv.in")
TORCH_CPU=torch==2.13.0+cpu
TORCH_INDEX_URL=${TORCH_INDEX_URL:-https://download.pytorch.org/whl/cpu}

upgrade=()
case "${1:-}" in
  "") ;;
  --upgrade) upgrade=(--upgrade) ;;
  *) sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p;}' "$0"; [ "$1" = --help ] && exit 0; exit 2 ;;
esac

cd "$(dirname "$0")/../python/requirements"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "uv==$UV_VERSION"

wheels=${TORBIZ_WHEELS:-${PIP_FIND_LINKS:-}}
if ! ls "$wheels"/torch-2.13.0+cpu-cp311-*x86_64.whl >/dev/null 2>&1; then
  wheels=$work/wheels
  "$work/venv/bin/pip" download --quiet --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
    --index-url "$TORCH_INDEX_URL" --dest "$wheels" "$TORCH_CPU"
fi

python_version=3.11
lock() {
  local name=$1
  shift
  "$work/venv/bin/uv" pip compile --quiet --no-config --universal --python-version "$python_version" --generate-hashes \
    --no-emit-index-url --no-emit-find-links --find-links "$wheels" --custom-compile-command scripts/lock-python.sh \
    ${upgrade[@]+"${upgrade[@]}"} "$@" "$name.in" --output-file "$name.txt"
}

lock build
lock starter --no-deps
lock petals --overrides petals-overrides.txt
# The same versions in both environments: what one machine shares, another must understand.
lock swarm --overrides petals-overrides.txt --constraints petals.txt
# Installed on top of swarm.txt, so it must agree with it.
lock dev --constraints swarm.txt
# Whatever Python from 3.10 on a computer has.
python_version=3.10
lock local
# Any Python may bring it.
python_version=3.8
lock uv
