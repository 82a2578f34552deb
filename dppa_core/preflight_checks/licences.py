"""The licence of a merge, by those of its parents: for the card, no legal advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PERMISSIVE = (
    "apache-2.0",
    "bsd-3-clause",
    "bsd-2-clause",
    "mit",
    "isc",
    "cc-by-4.0",
    "cdla-permissive-2.0",
    "unlicense",
    "cc0-1.0",
)
"""Licences that go together, the most demanding first."""


@dataclass(frozen=True, slots=True)
class MergedLicence:
    """Result of combining the parents' licences."""

    identifier: str | None
    """For the field `license` of the card; None if a parent states none."""
    unstated: tuple[str, ...]
    """References of the parents that state none."""
    warnings: tuple[str, ...]
    """One sentence for each consequence of different licences."""


def merged_licence(parents: Mapping[str, str | None]) -> MergedLicence:
    """Combine licences, the strictest first.

    One licence for all stays; of permissive ones the most demanding applies; a restrictive licence
    beside permissive ones covers the whole; two different restrictive ones are a conflict.

    Args:
        parents: Reference of each parent -> licence identifier of the Hub, as "apache-2.0" or
            "llama2", in any case; None if it states none.
    """
    stated = {ref: licence.strip().lower() for ref, licence in parents.items() if licence}
    unstated = tuple(ref for ref in parents if ref not in stated)
    strict = sorted({licence for licence in stated.values() if licence not in PERMISSIVE})
    warnings: tuple[str, ...] = ()
    if len(strict) > 1:
        warnings = (
            f"The parents' licences differ ({_owners_text(stated, strict)}), and each may forbid "
            "what another asks for: read them before passing the merge on.",
        )
    elif strict and len(set(stated.values())) > 1:
        warnings = (
            f"The whole merge stands under {_owners_text(stated, strict)}; its terms apply to the "
            "other parents' share as well.",
        )
    if unstated or not stated:
        identifier = None
    elif strict:
        identifier = strict[0] if len(strict) == 1 else "other"
    else:
        identifier = min(stated.values(), key=PERMISSIVE.index)
    return MergedLicence(identifier, unstated, warnings)


def _owners_text(stated: Mapping[str, str], licences: list[str]) -> str:
    parts = []
    for licence in licences:
        owners = [ref for ref, stated_licence in stated.items() if stated_licence == licence]
        parts.append(f"{licence} of {', '.join(owners)}")
    return "; ".join(parts)
