#!/usr/bin/env bash
# Builds Torbiz's image. The app runs this very script; by hand it does the same. Kept to bash 3.2 and the tools of a bare Mac.
#
# What it writes goes to the terminal and to a log. Lines that begin with "torbiz:" are for the app:
#   torbiz: build pid=PID tag=TAG base=IMAGE inputs=HASH      always the first line of a log
#   torbiz: step context|image|check|tag
#   torbiz: done image=ID | torbiz: failed step=STEP          one of these three is the last line
#   torbiz: cancelled
set -euo pipefail

DEFAULT_BASE_IMAGE=python:3.11-slim-bookworm
# What the set-up of a machine without an image registry leaves under this name; never pulled.
BASE_IMAGE_STAND_IN=torbiz-base:bookworm
EXIT_FAILED=1 EXIT_USAGE=2 EXIT_NO_DOCKER=69 EXIT_BUSY=75

usage() {
  cat <<'USAGE'
Builds Torbiz's image with docker, checks it, and only then gives it its name.

Usage: build-docker-macos.sh [options]

  --tag TAG          Name of the image. Default: torbiz-petals-macos:latest
  --no-cache         Build every step anew.
  --platform P       Build for linux/amd64 or linux/arm64 instead of this computer's own.
  --base-image I     Image with Python 3.11 to build on. Default: python:3.11-slim-bookworm
  --wheels DIR       Folder of Python wheels to take before the package index.
  --ca-bundle FILE   Certificates to trust while downloading.
  --index-url URL    Package index. It stays in the image's history: no passwords in it.
  --log FILE         Where the log goes. Default: ~/.torbiz/logs/build-TAG.log
  --lock FILE        What keeps a second build of the same tag away. Default: ~/.torbiz/run/build-TAG.lock
  --inputs-hash      Print the hash of what the image is made from, and build nothing.
  --help             Print this.

Environment: TORBIZ_BASE_IMAGE, TORBIZ_WHEELS (or PIP_FIND_LINKS), TORBIZ_CA_BUNDLE (or PIP_CERT, SSL_CERT_FILE),
PIP_INDEX_URL, TORCH_INDEX_URL, TORBIZ_HOME (instead of ~/.torbiz), TORBIZ_INSTANCE (the tag's last part), and docker's own.

Exit codes: 0 built, 1 failed, 2 wrong usage, 69 no docker command, 75 this tag is being built already, 130/143 cancelled.
USAGE
}

usage_error() {
  echo "build-docker-macos.sh: $1. See --help." >&2
  exit "$EXIT_USAGE"
}

tag=torbiz-petals-macos:${TORBIZ_INSTANCE:-latest}
base_image=${TORBIZ_BASE_IMAGE:-}
wheels=${TORBIZ_WHEELS:-}
ca_bundle=${TORBIZ_CA_BUNDLE:-${PIP_CERT:-${SSL_CERT_FILE:-}}}
index_url=${PIP_INDEX_URL:-}
torch_index_url=${TORCH_INDEX_URL:-}
platform='' log='' lock='' no_cache='' only_hash=''
# pip takes addresses in this variable as well; a build can only take a folder.
if [ -z "$wheels" ] && [ -d "${PIP_FIND_LINKS:-}" ]; then wheels=$PIP_FIND_LINKS; fi

while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --no-cache) no_cache=yes; shift; continue ;;
    --inputs-hash) only_hash=yes; shift; continue ;;
    --tag | --platform | --base-image | --wheels | --ca-bundle | --index-url | --log | --lock)
      [ -n "${2:-}" ] || usage_error "$1 needs a value" ;;
    *) usage_error "unknown option $1" ;;
  esac
  case "$1" in
    --tag) tag=$2 ;;
    --platform) platform=$2 ;;
    --base-image) base_image=$2 ;;
    --wheels) wheels=$2 ;;
    --ca-bundle) ca_bundle=$2 ;;
    --index-url) index_url=$2 ;;
    --log) log=$2 ;;
    --lock) lock=$2 ;;
  esac
  shift 2
done

files=$(cd "$(dirname "$0")/.." && pwd)

# A launcher's PATH misses docker and, worse, the credential helpers that lie beside it.
for folder in "$HOME/.docker/bin" /usr/local/bin /opt/homebrew/bin "$HOME/.orbstack/bin" \
  /Applications/Docker.app/Contents/Resources/bin "$HOME/.rd/bin"; do
  PATH=$PATH:$folder
done
if docker_cli=$(command -v docker); then
  PATH=$(dirname "$docker_cli"):$PATH
elif [ -z "$only_hash" ]; then
  echo "build-docker-macos.sh: the docker command was not found. Install Docker Desktop from" \
    "https://www.docker.com/products/docker-desktop" >&2
  exit "$EXIT_NO_DOCKER"
fi
export PATH

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

list_inputs() {
  cd "$files" && find .dockerignore docker/Dockerfile.macos python/requirements/build.txt python/requirements/petals.txt \
    python/requirements/starter.txt python/torbiz -type f ! -name '*.pyc' ! -name .DS_Store ! -path '*/__pycache__/*'
}

# Of the names that come in and of the files' contents.
hash_files() {
  while IFS= read -r file; do sha256 "$files/$file" | cut -d ' ' -f 1; echo "$file"; done | sha256 | cut -d ' ' -f 1
}

# Base image, wheels and certificates are only ways to the same packages: the locks pin those.
inputs=$(list_inputs | LC_ALL=C sort | hash_files)
if [ -n "$only_hash" ]; then
  echo "$inputs"
  exit 0
fi
# What decides, besides the packages themselves, whether they can be imported.
checked=$(printf '%s\n' docker/Dockerfile.macos python/torbiz/petals_compat.py | hash_files)

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

if [ -z "$base_image" ]; then
  base_image=$DEFAULT_BASE_IMAGE
  if ! has_image "$DEFAULT_BASE_IMAGE" && has_image "$BASE_IMAGE_STAND_IN"; then base_image=$BASE_IMAGE_STAND_IN; fi
fi

[ -z "$wheels" ] || [ -d "$wheels" ] || usage_error "the wheel folder $wheels does not exist"
[ -z "$ca_bundle" ] || [ -r "$ca_bundle" ] || usage_error "the CA bundle $ca_bundle can't be read"
case "$index_url $torch_index_url" in
  *://*@*) usage_error "the index address holds a user or password, which would stay in the image's history" ;;
esac

home=${TORBIZ_HOME:-$HOME/.torbiz}
file_name=build-${tag//[^A-Za-z0-9._-]/-}
log=${log:-$home/logs/$file_name.log}
lock=${lock:-$home/run/$file_name.lock}
case "$log" in /*) ;; *) log=$PWD/$log ;; esac
case "$lock" in /*) ;; *) lock=$PWD/$lock ;; esac
# Under the lock and always at the same place, so that the next build removes what a killed one left.
work=$lock.work
umask 077
mkdir -p "$(dirname "$log")" "$(dirname "$lock")"

json_text() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }

lock_pid() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$1" 2>/dev/null || true; }

# Not every Linux has ps, and no Mac has /proc.
command_of() {
  { if [ -d /proc/self ]; then cat "/proc/${1:-0}/cmdline"; else ps -ww -p "${1:-0}" -o command=; fi || true; } 2>/dev/null |
    tr '\0' ' '
}

# Whether the pid is a build: a pid alone may have gone to another program since.
is_build() {
  case "$(command_of "$1")" in *build-docker-macos*) return 0 ;; *) return 1 ;; esac
}

# Before its version 25 the docker command waits for the plugin that builds, and doesn't tell it of a signal. The plugin may
# wait in turn for an engine that is busy.
end_docker() {
  local plugins
  plugins=$({ if [ -d /proc/self ]; then cat "/proc/$1"/task/*/children; else pgrep -P "$1"; fi || true; } 2>/dev/null)
  # shellcheck disable=SC2086 # one word for each
  set -- "$1" $plugins
  kill -TERM "$@" 2>/dev/null || true
  within_5_seconds gone "$1" || kill -KILL "$@" 2>/dev/null || true
}

gone() { ! kill -0 "$1" 2>/dev/null; }

within_5_seconds() {
  for _ in {1..50}; do
    ! "$@" || return 0
    sleep 0.1
  done
  return 1
}

# A hard link appears at once with its whole content, and fails where a lock is.
take_lock() {
  local note=$lock.$$ old=$lock.$$.old holder=''
  printf '{"pid":%d,"startedAt":"%s","log":"%s","tag":"%s"}\n' \
    $$ "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(json_text "$log")" "$(json_text "$tag")" >"$note"
  for _ in 1 2 3; do
    if ln "$note" "$lock" 2>/dev/null; then
      rm -f "$note"
      return 0
    fi
    holder=$(lock_pid "$lock")
    if is_build "$holder"; then break; fi
    # Its build is dead. Somebody else may see that in the same moment: the one whose move takes away the dead lock goes on.
    if mv "$lock" "$old" 2>/dev/null && [ "$(lock_pid "$old")" != "$holder" ]; then ln "$old" "$lock" 2>/dev/null || true; fi
    rm -f "$old"
  done
  rm -f "$note"
  echo "build-docker-macos.sh: $tag is being built already, by process ${holder:-?}." >&2
  sed -n 's/.*"log":"\([^"]*\)".*/See its log: \1/p' "$lock" >&2 || true
  return "$EXIT_BUSY"
}
take_lock || exit $?

tee_pid='' step=context ended=''
check_container=torbiz-build-check-$$

end() {
  ended=$1
  echo "torbiz: $1"
}

# Of the image that has no name of its own yet. Who cancels waits, and an engine may be busy for long: it is asked only where
# the builder, the classic one or BuildKit, has said that it gives the name.
may_be_built() { [ "$ended" != cancelled ] || grep -qE '^Successfully tagged |naming to ' "$log"; }

clean_up() {
  trap '' INT TERM HUP
  [ -n "$ended" ] || end "failed step=$step"
  [ "$step" != check ] || docker rm --force "$check_container" >/dev/null 2>&1 || true
  if may_be_built && has_image "$tag-building"; then docker rmi "$tag-building" >/dev/null 2>&1 || true; fi
  rm -rf "$work"
  exec >&- 2>&-
  # The log tells how it ended before the lock says that it has. A program that still holds our output is not waited for.
  [ -z "$tee_pid" ] || within_5_seconds gone "$tee_pid" || true
  rm -f "$lock"
}

cancel() {
  trap '' INT TERM HUP
  # docker run waits for its container.
  [ "$step" != check ] || docker rm --force "$check_container" >/dev/null 2>&1 || true
  # The engine ends its build when the one who asked for it is gone.
  for job in $(jobs -p); do
    [ "$job" != "$tee_pid" ] || continue
    end_docker "$job"
    wait "$job" 2>/dev/null || true
  done
  end cancelled
  exit "$1"
}

trap clean_up EXIT
trap 'cancel 130' INT
trap 'cancel 143' TERM HUP

orphan=$(cat "$work/docker.pid" 2>/dev/null || true)
rm -rf "$work"
# Who still reads the last build's log keeps it.
[ ! -f "$log" ] || rm -f "$log"
mkdir "$work"
: >"$log"
mkfifo "$work/output"
exec 3>&1
# -i: Ctrl-C reaches every process of the terminal, and the last words must still be written.
tee -i -a "$log" <"$work/output" >&3 &
tee_pid=$!
exec >"$work/output" 2>&1 3>&-

fail() {
  local at
  # How the classic builder and BuildKit name the instruction they failed at.
  at=$(sed -n -e 's/^\(Step [0-9]*\/[0-9]* : .*\)/\1/p' -e 's/^ > \(\[.*\):$/\1/p' "$log" | tail -n 1)
  [ "$step" != image ] || echo "Failed at: ${at:-the start}"
  echo "The whole log is $log"
  end "failed step=$step"
  exit "$EXIT_FAILED"
}

# In the background, because bash answers signals only between commands and while it waits. Never with its output led
# elsewhere: what a signal lets the script say meanwhile would go there, too.
attempt() {
  local code=0
  "$@" &
  echo "$!" >"$work/docker.pid"
  wait "$!" || code=$?
  return "$code"
}

echo "torbiz: build pid=$$ tag=$tag base=$base_image inputs=$inputs"
echo "The log is $log"

# A script that was killed leaves its docker command running, and that would fight with ours for the machine.
case "$(command_of "$orphan")" in *docker*"$tag-building"*) end_docker "$orphan" ;; esac

echo "torbiz: step context"
context=$work/context
umask 022 # the image gets these modes, whatever the user's umask is
list_inputs | while IFS= read -r input; do
  mkdir -p "$context/$(dirname "$input")"
  cp "$files/$input" "$context/$input"
done
mkdir -p "$context/docker/inputs/wheels"
cp "$files/docker/inputs/README.txt" "$context/docker/inputs/"
[ -z "$ca_bundle" ] || cp "$ca_bundle" "$context/docker/inputs/ca-bundle.pem"
if [ -n "$wheels" ]; then
  foreign=''
  case "$platform" in */arm64) foreign=x86_64 ;; */amd64) foreign=aarch64 ;; esac
  for wheel in "$wheels"/*.whl; do
    [ -f "$wheel" ] || continue
    case "$wheel" in *_"$foreign".whl) continue ;; esac
    # Only what the locks name: the folder may hold many others.
    name=$(basename "$wheel" | cut -d - -f 1 | tr '_.' '-')
    version=$(basename "$wheel" | cut -d - -f 2)
    grep -qiF "$name==$version " "$files"/python/requirements/{build,starter,petals}.txt || continue
    ln "$wheel" "$context/docker/inputs/wheels/" 2>/dev/null || cp "$wheel" "$context/docker/inputs/wheels/"
    echo "Using $(basename "$wheel") from $wheels"
  done
fi
umask 077

# What builds left that ended with their engine. A step that takes a day is none: no other build's is touched.
prune_steps() {
  exec docker container prune --force --filter label=com.torbiz.build-step --filter until=24h >/dev/null 2>&1
}
attempt prune_steps || true

# Of the engine's store of images: containerd's says so here. The builder knows its steps by what it is told of that, too: with
# another answer than the last time it would make all of them anew, so no answer is none.
ask_store() {
  # All of it, as Podman's docker command has other fields.
  exec docker info >"$work/store" 2>"$work/store-error"
}
if ! attempt ask_store && { attempt sleep 2 && ! attempt ask_store; }; then
  cat "$work/store-error"
  fail
fi

step=image
echo "torbiz: step image"
set -- --force-rm --file docker/Dockerfile.macos --tag "$tag-building" \
  --build-arg "BASE_IMAGE=$base_image" --build-arg "TORBIZ_INPUTS=$inputs" --build-arg "TORBIZ_CHECKED=$checked"
[ -z "$index_url" ] || set -- "$@" --build-arg "PIP_INDEX_URL=$index_url"
[ -z "$torch_index_url" ] || set -- "$@" --build-arg "TORCH_INDEX_URL=$torch_index_url"
if grep -q io.containerd.snapshotter "$work/store"; then set -- "$@" --build-arg EXTRA_ROOM=1.8; fi
[ -z "$platform" ] || set -- "$@" --platform "$platform"
[ -z "$no_cache" ] || set -- "$@" --no-cache
cd "$context"
# Not --progress=plain and --provenance=false: the classic builder refuses the options, and overlooks the variables. With a
# note of when it was built, an image of the same content would get another id each time.
BUILDKIT_PROGRESS=plain BUILDX_NO_DEFAULT_ATTESTATIONS=1 attempt docker build "$@" . || fail
# A builder in a container of its own keeps what it made to itself.
if ! has_image "$tag-building"; then
  echo "torbiz: error docker's builder left no image in Docker. Unset BUILDX_BUILDER, or choose Docker's own: docker buildx use default"
  fail
fi

step=check
echo "torbiz: step check"
# What was checked, and all layers but the last two: those hold our own code.
packages() {
  docker image inspect --format '{{index .Config.Labels "com.torbiz.checked"}}' "$1"
  docker image inspect --format '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | grep . | sed '$d' | sed '$d'
}

check='import torbiz.seeder, torbiz.starter'
# What was checked in the image that has the name now needn't be checked again: that takes longer than all the rest of a
# build in which only the seeder has changed.
if ! has_image "$tag" || [ "$(packages "$tag")" != "$(packages "$tag-building")" ]; then
  check='
import subprocess
from pathlib import Path
import torbiz.petals_compat, petals.server.server
import accelerate, hivemind, peft, petals, torch
import torbiz.seeder, torbiz.starter
p2pd = Path(hivemind.__file__).parent / "hivemind_cli" / "p2pd"
subprocess.run([p2pd, "-help"], check=True, capture_output=True)
print("Works without network: torch", torch.__version__, "petals", petals.__version__, "peft", peft.__version__,
      "accelerate", accelerate.__version__, "p2pd")
'
fi
attempt docker run --rm --pull never --name "$check_container" --network none --read-only --cap-drop ALL \
  --security-opt no-new-privileges --pids-limit 256 --tmpfs /tmp --tmpfs /cache:uid=10001 \
  --entrypoint python "$tag-building" -W ignore -c "$check" || fail

step=tag
echo "torbiz: step tag"
previous=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)
docker tag "$tag-building" "$tag" || fail
image=$(docker image inspect --format '{{.Id}}' "$tag") || fail
# The image that had the name goes, unless it has another one or a container needs it.
if [ -n "$previous" ] && [ "$(docker image inspect --format '{{.RepoTags}}' "$previous" 2>/dev/null)" = "[]" ]; then
  docker rmi "$previous" >/dev/null 2>&1 || true
fi
end "done image=$image"
