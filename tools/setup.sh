#!/usr/bin/env bash
# Makes .venv and installs what the machine lacks. Safe to run again; says what it does.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null &&
    "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
    python=$(command -v "$candidate")
    break
  fi
done
if [ -z "$python" ]; then
  say "no Python 3.11 to 3.14 found; install one (apt-get install python3) and run this again"
  exit 1
fi

missing=()
command -v crun >/dev/null || command -v runc >/dev/null || missing+=(crun)
command -v conmon >/dev/null || missing+=(conmon)
command -v nft >/dev/null || [ -x /usr/sbin/nft ] || missing+=(nftables)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
[ -d .venv ] || "$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    say "missing: ${missing[*]}; install them with your distribution's package manager"
    exit 1
  fi
  say "installing from the distribution: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive sh -c '
    apt-get -qq install -y --no-install-recommends "$@" >/tmp/petset-apt.$$ 2>&1 ||
      { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" >/tmp/petset-apt.$$ 2>&1; } ||
      { cat /tmp/petset-apt.$$; rm -f /tmp/petset-apt.$$; exit 1; }
    rm -f /tmp/petset-apt.$$' sh "${missing[@]}"
fi

stamp=.venv/.setup
if [ ! -f "$stamp" ] || [ uv.lock -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  if [ ! -x .venv/bin/python ]; then
    say "making .venv with $("$python" --version)"
    "$python" -m venv .venv
  fi
  uv=$(command -v uv || true)
  if [ -z "$uv" ]; then
    say "installing uv into .venv"
    [ -x .venv/bin/pip ] || .venv/bin/python -m ensurepip -q
    .venv/bin/python -m pip install -q --disable-pip-version-check 'uv>=0.13,<0.14'
    uv=.venv/bin/uv
  fi
  say "installing the pinned Python packages"
  UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} UV_PROJECT_ENVIRONMENT=.venv "$uv" sync -q --frozen --inexact --compile-bytecode
  touch "$stamp"
fi
.venv/bin/python -m compileall -q src
say "ready: .venv/bin/petset"
