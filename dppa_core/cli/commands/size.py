"""`dppa size`: what each form of a delta keeps, in how many bytes."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dppa_core.charts.tables import text_table
from dppa_core.cli.commands.smallest_file import (
    check_pack_folder,
    doubts,
    place_of_enough,
    sentence_of_enough,
    why_not_written,
    write_enough,
)
from dppa_core.cli.evaluation_text import MASKED_WORDS
from dppa_core.cli.options import dataclass_command
from dppa_core.cli.output import emit, progress_line
from dppa_core.cli.size_options import SizeOptions
from dppa_core.errors import InvalidValue, printable
from dppa_core.evaluation.form_sizes import (
    BASE,
    FormSize,
    form_sizes,
    form_title,
    frontier,
    whole_size,
)
from dppa_core.forms.store import parse_store_text
from dppa_core.preflight_checks.weight_findings import base_warnings
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.delta_size import relative_size

if TYPE_CHECKING:
    from dppa_core.evaluation.form_scores import FormScore


@dataclass_command
def size(options: SizeOptions) -> None:
    """Find the smallest file that keeps a fine-tune.

    Shows what each form of its changes keeps, in how many bytes: sparse, drawn at random, low rank,
    few bits, and sums of these; with --tasks, --items or --text also how well each answers, or
    predicts a text. --out writes the smallest that is enough.
    """
    pairs, stores, factors = options.pairs(), options.stores(), options.ladder()
    domains, text = options.domains(), _read(options.text)
    if options.out:
        check_pack_folder(options.out, overwrite=options.overwrite)
    values, texts = [], []
    for base, model in pairs:
        with progress_line() as progress:
            profile = cached_profile(base, model, workers=options.workers, progress=progress)
            if relative_size(profile.modules) == 0:
                raise InvalidValue(f"{model} equals its base {base}: there is no change to keep.")
            sizes = form_sizes(base, model, stores, workers=options.workers, progress=progress)
            scores: dict[str, FormScore] = {}
            if domains or text:
                control = {"factors": factors, "limit": options.limit, "progress": progress}
                scores = _scores(base, model, sizes, domains, text, control)
        change = {"relative_change": relative_size(profile.modules)}
        values.append(change | _values(base, model, sizes, scores))
        values[-1]["warnings"] = [*base_warnings([(model, profile)]), *doubts(values[-1])]
        texts.append(_text(values[-1]))
    texts += options.notes(domains)
    files, missing = [], []
    if options.out:
        files = write_enough(values, options.out, options.workers, overwrite=options.overwrite)
        missing = [line for row in values for line in why_not_written(row, options.out)]
    if files:
        texts.append("\n".join(f"as a model: {file}" for file in files))
    emit({"models": values, "files": files}, "\n\n".join(texts), as_json=options.as_json)
    if missing:
        sys.stderr.write("".join(f"dppa: {printable(line)}\n" for line in missing))
        raise typer.Exit(1)


def _read(path: Path | None) -> str:
    """A text to measure, before any work; empty without one."""
    if path is None:
        return ""
    from dppa_core.evaluation.perplexity import read_text  # noqa: PLC0415  (imports torch)

    return read_text(path)


def _scores(
    base: str,
    model: str,
    sizes: Sequence[FormSize],
    domains: Sequence[str],
    text: str,
    control: Mapping[str, Any],
) -> dict[str, FormScore]:
    from dppa_core.evaluation.examiner import Examiner  # noqa: PLC0415  (imports torch)
    from dppa_core.evaluation.form_scores import form_scores  # noqa: PLC0415

    stores = [BASE, "", *(row.store for row in sizes)]
    rows = form_scores(Examiner(), base, model, stores, domains, text=text, **control)
    return {row.store: row for row in rows}


def _values(
    base: str, model: str, sizes: Sequence[FormSize], scores: Mapping[str, FormScore]
) -> dict[str, Any]:
    """Every form's bytes, energy and scores, by bytes."""
    rows = sorted((*sizes, whole_size(model)), key=lambda row: row.nbytes)
    rows = [*([FormSize(BASE, form_title(BASE), 0, 0.0)] if scores else []), *rows]
    files = [n for n, row in enumerate(rows) if row.store != BASE and (scores or row.energy >= 0)]
    points = [(rows[n].nbytes, _loss(rows[n], scores)) for n in files]
    best = {files[place] for place in frontier(points)}
    return {
        "base": base,
        "model": model,
        "enough": place_of_enough(rows, scores),
        "questions": scores[""].questions if scores else 0,
        "forms": [
            {**_stated(row, scores), "best": n in best, **_score_values(scores.get(row.store))}
            for n, row in enumerate(rows)
        ],
    }


def _stated(row: FormSize, scores: Mapping[str, FormScore]) -> dict[str, Any]:
    """The row with its best factor in the store and in the title."""
    factor = scores[row.store].factor if row.store in scores else 1.0
    store = row.store
    if store not in ("", BASE):
        store = str(parse_store_text(store).times(factor))
    return {**asdict(row), "store": store, "title": form_title(row.store, factor)}


def _loss(row: FormSize, scores: Mapping[str, FormScore]) -> float:
    return scores[row.store].loss if scores else 1 - row.energy


def _score_values(score: FormScore | None) -> dict[str, Any]:
    if score is None:
        return {}
    values: dict[str, Any] = {"factor": score.factor, "loss": score.loss}
    if score.scores:
        domains = {
            domain: found.figures() | {"loss": found.loss} for domain, found in score.scores.items()
        }
        values |= {"accuracy": score.accuracy, "domains": domains}
    if score.masked:
        values["masked_tokens"] = score.masked
    elif score.text_loss is not None:
        values["perplexity"] = math.exp(score.text_loss)
    return values


_SCORES = {"loss": ".4f", "accuracy": ".1%", "perplexity": ".4g"}


def _text(values: Mapping[str, Any]) -> str:
    """One line a form, by bytes; a star marks those that no smaller one beats."""
    scored = {name: form for name, form in _SCORES.items() if name in values["forms"][0]}
    head = ["", "form", "MB", "energy", *scored]
    rows = [
        [
            "*" if row["best"] else "",
            row["title"],
            f"{row['nbytes'] / 1e6:.3f}",
            f"{row['energy']:.3f}" if row["energy"] >= 0 else "-",
            *(format(row[name], form) for name, form in scored.items()),
        ]
        for row in values["forms"]
    ]
    measure = "loss" if scored else "energy lost"
    lines = [
        f"{values['model']} against {values['base']}: its changes are "
        f"{values['relative_change']:.2%} as long as the weights (‖d‖/‖W‖)",
        text_table(head, rows),
        f"* no smaller or equal file has less {measure}; MB: without names of tensors, some kB; "
        "energy: share of the delta's squares that is kept, - where draws are enlarged"
        f"{_masks(values['forms'][0])}",
        sentence_of_enough(values),
        *(f"warning: {warning}" for warning in values["warnings"]),
    ]
    return "\n".join(lines)


def _masks(row: Mapping[str, Any]) -> str:
    if "masked_tokens" not in row:
        return ""
    return (
        f"; loss: masked-language loss in nats, the mean of {row['masked_tokens']} masked tokens "
        f"({MASKED_WORDS.rstrip(',')})"
    )
