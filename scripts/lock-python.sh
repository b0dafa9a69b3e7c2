#!/usr/bin/env bash
# Makes the locks of python/requirements anew: one *.txt for each *.in, every package pinned with its hashes, for Linux and
# macOS on both processors; and python.sha256, the Python that is fetched where none fits. What exists is kept where it
# still fits; --upgrade takes the newest versions.
#
#   scripts/lock-python.sh [--upgrade]
#
# Then, and before a release, ask which locked versions have known vulnerabilities. No test does: only PyPI itself answers, and
# through a mirror every package is skipped, without an error. Of torch's two for Linux the one with "+cpu" is skipped always:
#   pip install pip-audit==2.10.1
#   pip-audit --disable-pip --require-hashes -r python/requirements/petals.txt      (and all other locks there)
#
# PyTorch's CPU wheel comes from the folder TORBIZ_WHEELS or PIP_FIND_LINKS where it is there, else from PyTorch's CPU index.
set -euo pipefail

UV_VERSION=$(sed -n "s/^uv==//p" "$(dirname "$0")/../python/requirements/dev.in")
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

# uv knows the builds, but tells a build's hash only when it meets something else in its place.
lock_builds() {
  local uv=$work/venv/bin/uv mirror=$work/builds list=(--no-config --only-downloads --all-platforms --all-arches --show-urls)
  local version key path hash
  mkdir -p "$work/nothing/python"
  tar -C "$work/nothing" -czf "$work/nothing.tar.gz" python
  version=$("$uv" python list "${list[@]}" 3.11 | sed -n 's/^cpython-\([0-9.]*\)-.*/\1/p' | head -n 1)
  sed -n '/^#/p' python.sha256 >"$work/python.sha256"
  for key in macos-aarch64-none macos-x86_64-none linux-aarch64-gnu linux-x86_64-gnu; do
    path=$("$uv" python list "${list[@]}" "$version" | sed -n "s|^cpython-$version-$key .*/releases/download/||p" | sed 's/%2B/+/g')
    mkdir -p "$mirror/$(dirname "$path")"
    cp "$work/nothing.tar.gz" "$mirror/$path"
    hash=$("$uv" python install --no-config --no-cache --no-bin --install-dir "$work/installed" --mirror "file://$mirror" \
      "cpython-$version-$key" 2>&1 | sed -n '/Expected:/{n;s/ *//p;}') || true # it refuses that
    echo "$hash  $path" >>"$work/python.sha256"
  done
  # Half a list would leave some computers without a Python.
  if [ "$(grep -cE '^[0-9a-f]{64}  [0-9]+/cpython-\S+\.tar\.gz$' "$work/python.sha256")" != 4 ]; then
    echo "uv's list has another form than it had: python.sha256 stays as it was." >&2
    exit 1
  fi
  mv "$work/python.sha256" python.sha256
}

[ ${#upgrade[@]} = 0 ] || lock_builds
echo "Now ask which of these versions have known vulnerabilities: scripts/lock-python.sh --help tells how." >&2
