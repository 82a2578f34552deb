"""Blocks on several domains in one weight: overlap and conflict of deltas, and sign election."""

from __future__ import annotations

from typing import Any

import numpy as np

from dppa_core.evaluation.analysis.matrix import read_excerpt
from dppa_core.evaluation.analysis.overlap_pass import count_meetings
from dppa_core.methods.shared.sign_election import ballot_of
from dppa_core.methods.shared.stack import Stack
from dppa_core.pruning.overlap import Meeting

from ...session.measured import measured_part
from ...widgets.theme import KNOWN_MODELS
from .context import BASE, Arguments, BlockContext, choice
from .deltas import CORNER, rows_of

QUOTED_PERCENT = 80
"""The pruning rate used in the text."""


def conflict_rates(_arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """Overlap and conflict of every two embedded models, over pruning rates."""
    meetings = count_meetings(
        BASE,
        KNOWN_MODELS,
        public=context.studio.public,
        progress=context.progress,
        stop=context.stop,
    )
    pairs = list(map(_pair_value, meetings))
    closest = max(pairs, key=lambda pair: pair["overlap"][QUOTED_PERCENT])
    figures: dict[str, Any] = {"closest": f"{closest['first']} and {closest['second']}"}
    for pair in pairs:
        name = f"{pair['first']}-{pair['second']}"
        figures[f"{name}-overlap"] = pair["overlap"][QUOTED_PERCENT]
        figures[f"{name}-conflict"] = pair["conflict"][QUOTED_PERCENT]
        figures[f"{name}-conflict-all"] = pair["conflict"][0]
    return {"pairs": pairs, "figures": figures}


def two_manners(_arguments: Arguments, _context: BlockContext) -> dict[str, Any]:
    """What merges of SmolLM2's fine-tunes, each with a manner of its own, keep of the worse one, in
    per cent: of each method the mean over training seeds, the least and the most."""
    measured = measured_part("manners")
    rows = zip(*(measured[key] for key in ("x", "y", "low", "high")), strict=True)
    return {
        "rows": [dict(zip(("label", "value", "low", "high"), row, strict=True)) for row in rows],
        "figures": {name: measured[name] for name in ("pairs", "seeds", "settings")},
    }


def _pair_value(meeting: Meeting) -> dict[str, Any]:
    kept, both = meeting.kept.sum(axis=1), meeting.both.sum(axis=0)
    opposed = meeting.opposed.sum(axis=0)
    return {
        "first": meeting.first.removeprefix("zoo:"),
        "second": meeting.second.removeprefix("zoo:"),
        "overlap": _shares(both, kept[0]),
        "conflict": _shares(opposed, both),
    }


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    return [
        round(float(a / b), 5) if b else None
        for a, b in zip(part.tolist(), whole.tolist(), strict=True)
    ]


def sign_election(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """A corner of one {"module"} in all embedded deltas: their mean, and the mean of the entries
    with the elected sign."""
    profile = context.studio.profile(BASE, KNOWN_MODELS[0])
    names = tuple(item.module.name for item in profile.modules)
    module = choice(arguments, "module", names)
    corners = [
        read_excerpt(
            BASE, model, module, CORNER, CORNER, public=context.studio.public, stop=context.stop
        )
        for model in KNOWN_MODELS
    ]
    deltas = np.stack([corner.delta for corner in corners])
    coefficients = (1.0,) * len(deltas)
    stack = Stack(module, corners[0].base, deltas, coefficients, KNOWN_MODELS)
    elected = stack.agree((), ballot_of(coefficients, weigh_first=False, undecided=0))
    mean = deltas.mean(axis=0)
    opposed = (deltas > 0).any(axis=0) & (deltas < 0).any(axis=0)
    return {
        "modules": list(names),
        "module": module,
        "models": [model.removeprefix("zoo:") for model in KNOWN_MODELS],
        "deltas": [rows_of(delta) for delta in deltas],
        "mean": rows_of(mean),
        "elected": rows_of(elected),
        "figures": {
            "entries": int(opposed.size),
            "opposed": int(opposed.sum()),
            "mean-length": float(np.linalg.norm(mean)),
            "elected-length": float(np.linalg.norm(elected)),
        },
    }
