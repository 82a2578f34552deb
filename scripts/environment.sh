#!/bin/sh
# environment.sh app|test|docs: make .venv hold what the app, its tests or the site need.
# Installs only if the list of requirements has changed since the last time; otherwise silent.
set -eu
cd "$(dirname "$0")/.."
want=${1:-app}
venv=.venv
python=$venv/bin/python

say() { printf '%s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

# Whether it runs and is a tested version. A pyenv shim may exist and still fail, hence the run.
fits() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1; }

find_python() {
  if [ -n "${PYTHON:-}" ]; then
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 ||
      die "PYTHON=$PYTHON does not run, or is older than Python 3.11."
    printf '%s' "$PYTHON"
    return
  fi
  for candidate in python3 python3.12 python3.11 python; do
    if fits "$candidate"; then printf '%s' "$candidate"; return; fi
  done
  die "Python 3.11 or 3.12 is needed and none was found (tried python3, python3.12, python3.11, python)." \
    "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12)," \
    "or name one: PYTHON=/path/to/python make app"
}

has_pip() { "$python" -m pip --version >/dev/null 2>&1; }

# Debian's Python comes without ensurepip, and then `python -m venv` stops half-way: try three ways.
make_venv() {
  host=$(find_python)
  say "Making the virtual environment $venv with $("$host" --version) …"
  "$host" -m venv "$venv" >/dev/null 2>&1 && has_pip && return
  "$host" -m venv --clear --without-pip "$venv" >/dev/null 2>&1 ||
    die "$host -m venv failed. On Debian or Ubuntu: apt install python3-venv. Then start again."
  "$host" -m pip --python "$python" install --quiet pip >/dev/null 2>&1 && has_pip && return
  "$python" -c "import urllib.request as u; u.urlretrieve('https://bootstrap.pypa.io/get-pip.py', '$venv/get-pip.py')" \
    >/dev/null 2>&1 && "$python" "$venv/get-pip.py" --quiet >/dev/null 2>&1 && has_pip && return
  die "This Python has no pip and no ensurepip, and pip could not be fetched." \
    "On Debian or Ubuntu: apt install python3-venv. Then start again."
}

# extras NAME…: what these extras of pyproject.toml list.
extras() {
  "$python" -c "import sys, tomllib
project = tomllib.load(open('pyproject.toml', 'rb'))['project']
print('\n'.join(r for e in sys.argv[1:] for r in project['optional-dependencies'][e]))" "$@"
}

digest() { "$python" -c "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"; }

# install NAME FILE [OPTION]: what FILE lists, unless the stamp says it is installed.
install() {
  stamp=$venv/.installed-$1
  now=$(digest <"$2")
  [ "$(cat "$stamp" 2>/dev/null || true)" = "$now" ] && return
  has_pip || make_venv
  say "Installing the requirements of the $1 (once, and again when their list changes) …"
  "$python" -m pip install --quiet --no-compile --disable-pip-version-check ${3:-} -r "$2" ||
    die "pip could not install the packages above. Is the network reachable? Start again when it is."
  printf '%s\n' "$now" >"$stamp"
}

"$python" -c '' >/dev/null 2>&1 || make_venv
install app requirements.txt
if [ "$want" = test ]; then
  extras test dev >"$venv/test-requirements.txt"
  install tests "$venv/test-requirements.txt"
  # Of its dependencies the tests need two, listed above; the others are large.
  extras lm-eval >"$venv/harness-requirements.txt"
  install harness "$venv/harness-requirements.txt" --no-deps
fi
if [ "$want" = docs ]; then
  extras docs >"$venv/docs-requirements.txt"
  install docs "$venv/docs-requirements.txt"
fi
