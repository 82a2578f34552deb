"""All blocks by name; assets/js/learn/blocks/ draws them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, UnknownName, did_you_mean, shown

from ...session.shipped import shipped
from .amplification import partitions_by_hand
from .coefficients import entropy_surface
from .comparison import interval_width, leaderboard
from .conflict import conflict_rates, sign_election, two_manners
from .context import Arguments, BlockContext
from .deltas import delta_excerpt, delta_sizes
from .factors import loss_by_factor
from .hands_on import break_it, by_hand, playground
from .matrices import matrix_counts
from .merged_answer import merged_answer
from .open_questions import forms_by_size, open_question
from .pruning import output_error
from .significance import significance_by_hand, two_matrices

Block = Callable[[Arguments, BlockContext], dict[str, Any]]
"""Arguments and context -> JSON; numbers for the lesson's text are under "figures"."""

BLOCKS: dict[str, Block] = {
    "by-hand": by_hand,
    "answer-by-method": merged_answer,
    "break-it": break_it,
    "conflict-rates": conflict_rates,
    "delta-excerpt": delta_excerpt,
    "delta-sizes": delta_sizes,
    "delta-energy": delta_sizes,
    "entropy-surface": entropy_surface,
    "forms-by-size": forms_by_size,
    "interval-width": interval_width,
    "leaderboard": leaderboard,
    "loss-by-factor": loss_by_factor,
    "matrix-counts": matrix_counts,
    "merged-answer": merged_answer,
    "open-question": open_question,
    "playground": playground,
    "output-error": output_error,
    "partitions-by-hand": partitions_by_hand,
    "sign-election": sign_election,
    "significance-by-hand": significance_by_hand,
    "two-manners": two_manners,
    "two-matrices": two_matrices,
}

STORED = ("conflict-rates", "entropy-surface", "output-error")
"""Slow blocks. Their results without arguments are in `stored_file`."""


def stored_file() -> Path:
    """Written by `python -m scripts.lesson_blocks`."""
    return shipped("assets/data/lesson_blocks.json")


@cache
def _stored() -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = json.loads(stored_file().read_text(encoding="utf-8"))
    return results


def answer(name: object, arguments: object, context: BlockContext) -> dict[str, Any]:
    """The result of a block; UnknownName or, for arguments of a wrong form, InvalidValue."""
    if not isinstance(name, str) or name not in BLOCKS:
        raise UnknownName(f"There is no block {shown(name)}. {did_you_mean(str(name), BLOCKS)}")
    if not isinstance(arguments, dict):
        raise InvalidValue(f"Arguments of {name} are a mapping, got {shown(arguments)}.")
    if name in STORED and not arguments:
        return {"models": context.names(), **_stored()[name]}
    return BLOCKS[name](arguments, context)
