"""Encoders scored by pairs of texts: does the cosine of their vectors rank pairs as people do?

The score is Spearman's rank correlation, as in the STS benchmark (arXiv:1708.00055).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from torch.nn import functional

from dppa_core.errors import InvalidValue, shown
from dppa_core.evaluation.labels import checkpoint_of
from dppa_core.evaluation.sentences.vectors import sentence_vectors
from dppa_core.evaluation.side_by_side import Entrant
from dppa_core.parameter_fields import is_number
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.system.regular_files import read_regular
from dppa_core.system.strict_json import parse_json
from dppa_core.system.temporary import TemporaryFolder
from dppa_core.tasks.intervals import Interval

MAX_PAIRS, MAX_FILE_BYTES = 100_000, 50_000_000
_DRAWS = 2_000
EXAMPLE = (
    'A line is {"first": "A man eats.", "second": "Someone dines.", "score": 0.9}; a CSV file has '
    "the header first,second,score."
)


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts, and how alike people find them, on any scale."""

    first: str
    second: str
    score: float


def read_pairs(path: Path) -> tuple[TextPair, ...]:
    """The pairs of a file of JSON lines or CSV, at least three with scores that differ.

    Raises:
        InvalidValue: naming the line.
    """
    place = shown(str(path))
    try:
        text = read_regular(path, MAX_FILE_BYTES, streams=True).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InvalidValue(f"{place}: cannot be read ({error}). {EXAMPLE}") from error
    if path.suffix.lower() == ".csv":
        rows: list[Any] = list(csv.DictReader(io.StringIO(text)))
    else:
        rows = [_parsed(line) for line in text.splitlines() if line.strip()]
    pairs = tuple(_pair(row, f"{place}, pair {n}") for n, row in enumerate(rows, 1))
    if not 3 <= len(pairs) <= MAX_PAIRS or len({pair.score for pair in pairs}) < 2:
        raise InvalidValue(
            f"{place}: holds {len(pairs)} pairs. Needed are 3 to {MAX_PAIRS:,} whose scores differ."
        )
    return pairs


def _parsed(line: str) -> Any:
    try:
        return parse_json(line.encode())
    except ValueError:
        return None


def _pair(row: Any, place: str) -> TextPair:
    values = row if isinstance(row, Mapping) else {}
    texts, score = [values.get(key) for key in ("first", "second")], values.get("score")
    if isinstance(score, str):
        try:
            score = float(score)
        except ValueError:
            score = None
    if score is None or not is_number(score) or not all(isinstance(t, str) and t for t in texts):
        raise InvalidValue(f"{place}: needs two texts and a number, got {shown(row)}. {EXAMPLE}")
    return TextPair(str(texts[0]), str(texts[1]), float(score))


def similarity_rows(
    entrants: Sequence[Entrant],
    pairs: Sequence[TextPair],
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> list[dict[str, Any]]:
    """For each entrant the rank correlation with people, with a bootstrap interval over pairs.

    A merge is written into a temporary folder first.

    Raises:
        NotAllowed: a module of a model that is not known here.
        DppaError: a model that cannot be read or merged.
    """
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second)))
    at = {text: place for place, text in enumerate(texts)}
    sides = [[at[pair.first] for pair in pairs], [at[pair.second] for pair in pairs]]
    people, rows = np.array([pair.score for pair in pairs]), []
    for number, entrant in enumerate(entrants):
        check(stop)
        report(progress, number, len(entrants), entrant.label)
        with closing(TemporaryFolder("model")) as room:
            source = checkpoint_of(entrant.target, room.path / "model", stop)
            vectors = functional.normalize(sentence_vectors(source, texts, stop), dim=1)
        cosines = (vectors[sides[0]] * vectors[sides[1]]).sum(1).double().numpy()
        found = rank_interval(cosines, people)
        rows.append(
            {
                "key": entrant.key,
                "label": entrant.label,
                "correlation": {"value": found.value, "ci95": [found.low, found.high]},
                "pairs": len(pairs),
            }
        )
    return rows


def rank_interval(first: Float64[ndarray, " n"], second: Float64[ndarray, " n"]) -> Interval:
    """Spearman's rank correlation, with a 95 % bootstrap interval over pairs."""
    ranks = np.stack([_ranks(first), _ranks(second)])
    draws = np.random.default_rng(0).integers(0, first.size, (_DRAWS, first.size))
    drawn = [_correlation(*(_ranks(row[some]) for row in ranks)) for some in draws]
    low, high = np.quantile([value for value in drawn if np.isfinite(value)], (0.025, 0.975))
    return Interval(_correlation(*ranks), float(low), float(high))


def _ranks(values: Float64[ndarray, " n"]) -> Float64[ndarray, " n"]:
    """From 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def _correlation(first: Float64[ndarray, " n"], second: Float64[ndarray, " n"]) -> float:
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else float("nan")
