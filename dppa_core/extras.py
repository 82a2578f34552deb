"""Optional packages: which of an extra's are missing, and the command that installs them."""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

PACKAGE = "dppa-studio"


def missing_packages(extra: str) -> list[str]:
    """Names of an extra's packages that are not installed; empty if dppa-studio itself is not."""
    package = _distribution(PACKAGE)
    requirements = (package.requires or []) if package else []
    marker = re.compile(rf";.*\bextra == ['\"]{extra}['\"]")
    names = [re.split(r"[^\w.-]", line)[0] for line in requirements if marker.search(line)]
    return [name for name in names if _distribution(name) is None]


def install_command(extra: str) -> str:
    """The pip command that adds an extra, from where this package was installed (PEP 610)."""
    package = _distribution(PACKAGE)
    if package is None:
        return f"pip install '.[{extra}]' in the repository"
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    url = origin.get("url", "")
    if not url:
        return f"pip install '{PACKAGE}[{extra}]'"
    if url.startswith("file:"):
        return f"pip install '{unquote(urlsplit(url).path)}[{extra}]'"
    commit = origin.get("vcs_info", {})
    pinned = f"{commit['vcs']}+{url}@{commit['commit_id']}" if commit else url
    return f"pip install '{PACKAGE}[{extra}] @ {pinned}'"


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
