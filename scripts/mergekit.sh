#!/bin/sh
# mergekit.sh: make out/mergekit-venv, an environment with mergekit (CPU torch if .venv has it).
# Does nothing if it exists. Only the benchmark needs it.
set -eu
cd "$(dirname "$0")/.."
venv=out/mergekit-venv
program=$venv/bin/mergekit-yaml
cpu=https://download.pytorch.org/whl/cpu

[ -x "$program" ] && "$venv/bin/python" -c 'import mergekit' >/dev/null 2>&1 && exit 0
printf 'Installing mergekit into %s (once) …\n' "$venv" >&2
rm -rf "$venv"
mkdir -p out
.venv/bin/python -m venv "$venv" >/dev/null 2>&1 ||
  { .venv/bin/python -m venv --clear --without-pip "$venv" &&
    .venv/bin/python -m pip --python "$venv/bin/python" install --quiet pip; }

# The very torch of .venv, so that both tools compute with the same one.
torch=torch==$(.venv/bin/python -c 'from importlib.metadata import version; print(version("torch"))')
pip() { "$venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "$@"; }
pip mergekit "$torch" 2>/dev/null || pip mergekit "$torch" --extra-index-url "$cpu" 2>/dev/null || pip mergekit ||
  { rm -rf "$venv"; printf 'pip could not install mergekit. Is the network reachable?\n' >&2; exit 1; }
