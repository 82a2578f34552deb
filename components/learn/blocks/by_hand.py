"""Interactive blocks: one small matrix through a whole merge, and merges that fail."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.teaching.by_hand.walk import explain

from .context import Arguments, BlockContext

if TYPE_CHECKING:
    from dppa_core.teaching.failures.workshop import Workshop


def by_hand(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """A small matrix and every step of its merge; `explain` lists the arguments."""
    return explain(arguments)


def break_it(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The list of failures; with {"case": name, "repaired": bool} the result of one."""
    from dppa_core.teaching.failures.cases import CASES, run_case  # noqa: PLC0415  (torch)

    if not arguments:
        return {"cases": [asdict(case) for case in CASES]}
    name, repaired = arguments.get("case"), arguments.get("repaired", False)
    if not isinstance(name, str) or not isinstance(repaired, bool):
        raise InvalidValue(f"A case is a name, and repaired is yes or no; got {shown(arguments)}.")
    context.wait_for_models()
    return run_case(name, repaired, _workshop(), context.progress, context.stop)


@cache
def _workshop() -> Workshop:
    """One workshop for all visitors."""
    from dppa_core.teaching.failures.workshop import Workshop  # noqa: PLC0415  (torch)

    return Workshop()
