#!/usr/bin/env bash
# Fetches the ClickHouse engine of the embedded archive, libchdb.so, by npm into .cache/chdb/ of the repository; `make engine` calls it.
# A second call finds it there and does nothing. An interrupted one, or two at once, leave no half file: the engine is unpacked and
# checked beside its place and then renamed into it. Exits non-zero, with the ways out, where the engine cannot be had.
set -euo pipefail

package=@chdb/lib-linux-x64-gnu@26.7.3-stable.1 # not the tag latest, whose library cannot stream an INSERT
sum=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
packed_mb=178   # what npm downloads
needed_mb=1100  # on disk while fetching: download, npm's copy of it, 566 MB unpacked, some air

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$root/.cache/chdb
engine=$dir/libchdb.so
checked=$dir/libchdb.so.checked # "sum size mtime" of the file that was last found good, to hash 566 MB only once

say() { echo "engine: $*"; }

fail() {
  echo "engine: $1" >&2
  cat >&2 <<'END'
engine: without it, either use a ClickHouse of your own:   streamgauge demo --clickhouse http://host:8123
engine:                 or run without the archive:        streamgauge demo --no-archive
engine:                 or name a libchdb.so by its path:  STREAMGAUGE_CHDB_LIB=/path/to/libchdb.so
END
  exit 1
}

stamp() { echo "$sum $(stat -c '%s %Y' "$1")"; }

# good FILE: is it the engine, whole?
good() { [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$sum" ]; }

if [ -n "${STREAMGAUGE_CHDB_LIB:-}" ]; then
  [ -f "$STREAMGAUGE_CHDB_LIB" ] || fail "STREAMGAUGE_CHDB_LIB=$STREAMGAUGE_CHDB_LIB is not a file"
  say "$STREAMGAUGE_CHDB_LIB, as STREAMGAUGE_CHDB_LIB says"
  exit 0
fi
[ "$(uname -s)/$(uname -m)" = Linux/x86_64 ] || fail "it exists for Linux on x86_64; this machine is $(uname -s) on $(uname -m)"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
[ -n "$libc" ] || fail "it needs glibc, and this Linux has another C library (Alpine's musl?)"

if [ -f "$engine" ]; then
  if [ "$(cat "$checked" 2>/dev/null || true)" = "$(stamp "$engine")" ]; then
    exit 0
  fi
  say "checking $engine"
  if good "$engine"; then
    stamp "$engine" >"$checked"
    exit 0
  fi
  say "its checksum is not $sum: fetching it again"
fi

command -v npm >/dev/null || fail "npm is missing, by which it is fetched ($package); it comes with Node.js"
mkdir -p "$dir"
find "$dir" -mindepth 1 -maxdepth 1 -name 'fetch.*' -mmin +120 -exec rm -rf {} + # of runs that were killed
free_mb=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge "$needed_mb" ] || fail "$dir has $free_mb MB free; fetching takes $needed_mb MB, of which 566 MB stay"

work=$(mktemp -d "$dir/fetch.XXXXXX")
npm_pid=
cleanup() {
  [ -z "$npm_pid" ] || kill "$npm_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# progress MB: on a terminal one line that is written over, else a line.
progress() {
  if [ -t 1 ]; then
    printf '\rengine: %d of ~%d MB ' "$1" "$packed_mb"
  else
    say "$1 of ~$packed_mb MB"
  fi
}

say "fetching $package by npm, about $packed_mb MB, once"
# npm writes what it downloads into its cache; one of our own shows how far it is, and goes with $work. One retry: a machine without
# network shall hear of it in seconds.
(cd "$work" && exec npm pack "$package" --cache "$work/npm" --pack-destination "$work" --loglevel=error --no-update-notifier \
  --fetch-retries=1 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 --fetch-timeout=60000) >"$work/out" 2>"$work/err" &
npm_pid=$!
ticks=0
while kill -0 "$npm_pid" 2>/dev/null; do
  sleep 0.2
  ticks=$((ticks + 1))
  if [ $((ticks % 10)) -eq 0 ] || { [ -t 1 ] && [ $((ticks % 2)) -eq 0 ]; }; then
    progress "$(du -sb "$work/npm" 2>/dev/null | awk '{ n = $1 } END { print int(n / 1000000) }')"
  fi
done
status=0
wait "$npm_pid" || status=$?
npm_pid=
[ ! -t 1 ] || printf '\r\033[K'
if [ "$status" -ne 0 ]; then
  { grep -vE '^npm error( +at |$)|complete log' "$work/err" || true; } | head -n 8 | sed 's/^/engine: | /' >&2
  fail "npm could not fetch $package (exit status $status, its words are above); is there a network, or a registry in .npmrc?"
fi
rm -rf "$work/npm"

tarball=$(find "$work" -maxdepth 1 -name '*.tgz')
[ -n "$tarball" ] || fail "npm packed no file for $package"
say "unpacking"
tar -xzmf "$tarball" -C "$work" package/libchdb.so 2>"$work/err" || fail "the package has no libchdb.so that can be unpacked: $(tail -n 1 "$work/err")"
rm -f "$tarball"
good "$work/package/libchdb.so" || fail "the fetched libchdb.so is not the one known: its sha256 is $(sha256sum "$work/package/libchdb.so" | cut -d ' ' -f 1), wanted $sum"
mv -f "$work/package/libchdb.so" "$engine"
stamp "$engine" >"$checked"
say "$engine is ready"
