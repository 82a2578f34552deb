"""No range allows a vulnerable version; a failed audit is never reported as done."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from scripts import audit

KNOWN_BAD = json.loads(
    Path(__file__).parent.joinpath("helpers", "known_bad.json").read_text("utf-8")
)


@pytest.mark.parametrize("name", KNOWN_BAD)
def test_no_range_allows_a_version_that_is_known_to_be_bad(name: str) -> None:
    oldest = Version(audit.oldest()[name])
    for mended, why in KNOWN_BAD[name]:
        assert oldest >= Version(mended), f"{name} {oldest} has {why}; {mended} has not"


def test_every_requirement_is_looked_up() -> None:
    lines = (audit.ROOT / "requirements.txt").read_text("utf-8").splitlines()
    listed = {re.split(r"[<>=]", line)[0].lower() for line in lines if line and line[0] != "#"}
    assert {name.replace("_", "-") for name in listed} == set(audit.oldest())
    assert set(audit.oldest()) <= set(audit.installed())
    assert all("+" not in version for version in audit.installed().values())


def test_an_audit_that_did_not_happen_is_not_claimed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Neither without a network nor with a mirror of PyPI, which lists no vulnerabilities."""
    copy = tmp_path / "json"
    copy.write_text('{"info": {}, "vulnerabilities": []}')
    for place in ("http://127.0.0.1:1/", copy.as_uri()):
        monkeypatch.setattr(audit, "WEAK_VERSION_URL", place)
        assert audit.main([]) == 2 and audit.main(["--if-reachable"]) == 0
        assert capsys.readouterr().out.count("NOT AUDITED") == 2


def test_weaknesses_and_what_was_skipped_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    weak: list[dict[str, Any]] = [{"id": "CVE-1", "fix_versions": ["2"]}]
    found: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": weak},
        {"name": "b", "version": "1", "vulns": []},
        {"name": "c", "skip_reason": "not found"},
    ]
    assert audit.print_weaknesses("Installed", found) == (1, 1)
    assert audit.print_weaknesses("Installed", found[1:2]) == (0, 0)
    said = capsys.readouterr().out
    assert "2 packages audited, 1 known weaknesses" in said and "NOT audited: c" in said
    assert "a 1: CVE-1, mended in 2" in said
