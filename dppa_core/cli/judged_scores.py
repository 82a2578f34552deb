"""The scores that a vLLM server gives to models and merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dppa_core.evaluation.side_by_side import Entrant


def judged_scores(
    address: str,
    rank: int | None,
    folder: Path | None,
    entrants: Sequence[Entrant],
    domains: Sequence[str],
    exam: Mapping[str, Any],
) -> tuple[dict[str, Any], Callable[[], Any]]:
    """Scores of one entrant, or of several side by side, with what an adapter leaves out: plain
    values, and the data frame. `exam` as of `measure_judged`."""
    from dppa_core.evaluation.side_by_side import RECIPE  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.side_by_side_values import side_by_side_json  # noqa: PLC0415
    from dppa_core.evaluation.vllm.judge import vllm_judge  # noqa: PLC0415
    from dppa_core.evaluation.vllm.side_by_side import evaluation_of, measure_judged  # noqa: PLC0415

    first = next((entrant for entrant in entrants if entrant.key == RECIPE), entrants[0])
    with vllm_judge(first.target, address, rank, folder) as judge:
        side = measure_judged(judge, entrants, domains, **exam)
        sent = {**judge.to_json(first.target), "sentence": judge.sentence()}
    if len(entrants) == 1:
        evaluation = evaluation_of(side, first)
        values = {**evaluation.to_json(), "label": first.label}
        return {**values, "judge": sent}, evaluation.to_frame
    return {**side_by_side_json(side), "judge": sent}, side.to_frame
