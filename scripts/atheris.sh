#!/bin/sh
# atheris.sh: put the fuzzer into out/fuzz-packages, outside the environment of the app.
# Does nothing if it exists. Wheels exist only for Linux and some versions of Python.
set -eu
cd "$(dirname "$0")/.."
packages=out/fuzz-packages
PYTHONPATH=$packages .venv/bin/python -c 'import atheris' >/dev/null 2>&1 && exit 0
want=$(.venv/bin/python -c "import tomllib
print(tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['fuzz'][0])")
printf 'Installing %s into %s (once) …\n' "$want" "$packages" >&2
mkdir -p "$packages"
.venv/bin/python -m pip install --quiet --no-deps --only-binary :all: --disable-pip-version-check \
  --target "$packages" --upgrade "$want" ||
  { printf 'There is no such package for this Python or system; Linux and Python 3.11 have one. tests/fuzz/test_regressions.py tries the same readers without it.\n' >&2; exit 1; }
