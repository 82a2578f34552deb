"""Look up known vulnerabilities of installed packages and of the oldest allowed versions.

    python scripts/audit.py [--if-reachable]

pip-audit, in a separate environment (out/audit-venv), asks PyPI. A mirror of PyPI lists no
vulnerabilities, and pip-audit would find none there: so the script first looks up a version known
to be vulnerable. If that finds nothing, nothing was audited, and the script says so; the exit code
is 2 then, or 0 with --if-reachable. It is 1 if a vulnerability is known, and without
--if-reachable also if a package could not be looked up.
"""

import json
import re
import subprocess
import sys
import urllib.request
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / "out" / "audit-venv"
TOOL = "pip-audit>=2.10,<3"
WEAK_VERSION_URL = "https://pypi.org/pypi/pyyaml/5.3/json"
"""A version with known weaknesses: a database that has none for it is none."""
ACCEPTED: dict[str, str] = {}
"""Weakness -> why it does not matter here."""
OURS = {"dppa-studio", "pip", "setuptools"}


def is_reachable() -> bool:
    """Return True if the database knows the bad version."""
    try:
        with urllib.request.urlopen(WEAK_VERSION_URL, timeout=8) as answer:
            return bool(json.load(answer).get("vulnerabilities"))
    except (OSError, ValueError):
        return False


def installed() -> dict[str, str]:
    """Package -> version of this environment, without build labels such as +cpu."""
    versions = {
        package.name.lower().replace("_", "-"): package.version for package in distributions()
    }
    return {name: v.partition("+")[0] for name, v in versions.items() if name not in OURS}


def oldest() -> dict[str, str]:
    """Package -> the oldest version that requirements.txt allows."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    bounds = (re.match(r"([\w.-]+)>=([\w.]+)", line) for line in lines)
    return {bound[1].lower().replace("_", "-"): bound[2] for bound in bounds if bound}


def audited(versions: dict[str, str]) -> list[dict[str, object]]:
    """The report of pip-audit, an entry for each package."""
    listed = VENV / "versions.txt"
    listed.write_text("".join(f"{name}=={v}\n" for name, v in versions.items()), "utf-8")
    command = [str(VENV / "bin" / "pip-audit"), "-r", str(listed), "--no-deps", "--disable-pip"]
    audit = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not audit.stdout.startswith("{"):
        sys.exit(f"pip-audit failed: {audit.stderr.strip()[-500:]}")
    entries: list[dict[str, object]] = json.loads(audit.stdout)["dependencies"]
    return entries


def print_weaknesses(title: str, entries: list[dict[str, object]]) -> tuple[int, int]:
    """Print findings; return the numbers of vulnerabilities and of packages not looked up."""
    skipped = [str(entry["name"]) for entry in entries if "skip_reason" in entry]
    bad = [
        f"{entry['name']} {entry['version']}: {weakness['id']}, mended in "
        f"{', '.join(weakness['fix_versions']) or 'no version yet'}"
        for entry in entries
        for weakness in entry.get("vulns", [])  # type: ignore[attr-defined]
        if weakness["id"] not in ACCEPTED
    ]
    count = len(entries) - len(skipped)
    sys.stdout.write(f"{title}: {count} packages audited, {len(bad)} known weaknesses.\n")
    if skipped:
        sys.stdout.write(f"  NOT audited: {', '.join(skipped)}\n")
    sys.stdout.write("".join(f"  {line}\n" for line in bad))
    return len(bad), len(skipped)


def main(arguments: list[str]) -> int:
    """The exit code."""
    if not is_reachable():
        sys.stdout.write(
            "NOT AUDITED: no database of weaknesses can be reached from here, so nothing is known "
            "about the installed packages.\n"
        )
        return 0 if "--if-reachable" in arguments else 2
    if not (VENV / "bin" / "pip-audit").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", TOOL]
        subprocess.run(pip, check=True)
    counts = [
        print_weaknesses("Installed", audited(installed())),
        print_weaknesses("Oldest allowed", audited(oldest())),
    ]
    bad, skipped = (sum(column) for column in zip(*counts, strict=True))
    return 1 if bad or (skipped and "--if-reachable" not in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
