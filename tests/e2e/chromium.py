"""Finds the browser: the system's Chromium, or one that can be installed.

`python -m tests.e2e.chromium` installs one if none is found.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
PLACES = (
    "/usr/lib/chromium/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HELP = (
    "No browser for the browser tests. Install Chromium or Chrome with the system's packages "
    "(Debian: apt install chromium), or run `.venv/bin/python -m playwright install chromium`, "
    "or name one: CHROMIUM=/path/to/chromium make test"
)


def runs(program: str) -> bool:
    """Whether `program` starts; Ubuntu's `chromium-browser` may be a stub that does not."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_chromium() -> Path | None:
    """The browser to use: `CHROMIUM` if set, the system's, or the one Playwright installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named) if runs(named) else None
    candidates = [shutil.which(name) for name in NAMES] + list(PLACES)
    found = next((c for c in candidates if c and Path(c).exists() and runs(c)), None)
    return Path(found) if found else _of_playwright()


def _of_playwright() -> Path | None:
    ask = (
        "from playwright.sync_api import sync_playwright as s\n"
        "with s() as p: import sys; sys.stdout.write(p.chromium.executable_path)"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    return Path(path) if done.returncode == 0 and path and runs(path) else None


def _attempt(*command: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=environment, stdout=sys.stderr, check=False)


def install_chromium() -> Path | None:
    """Install one by the system's packages, else by Playwright; None when neither works."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    sudo = () if root else ("sudo", "-n")
    if shutil.which("apt-get") and (root or (shutil.which("sudo") and runs_without_password())):
        _attempt(*sudo, "apt-get", "update", "-qq")
        _attempt(*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")
        if found := find_chromium():
            return found
    extra = ("--with-deps",) if root else ()
    _attempt(sys.executable, "-m", "playwright", "install", *extra, "chromium")
    return find_chromium()


def runs_without_password() -> bool:
    """Whether `sudo` works without a password."""
    done = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    if find_chromium() is None:
        sys.stderr.write("No Chromium found; installing one for the browser tests …\n")
        if install_chromium() is None:
            sys.exit(HELP)
