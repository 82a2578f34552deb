"""The AdaMerging measurement as Markdown; every number comes from the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dppa_core.evaluation.tables import capital, markdown_table, percent_text
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Interval, accuracy
from dppa_lab.zoo.results.coefficients import (
    RATE,
    CoefficientReport,
    CoefficientsFound,
    DomainHits,
    common,
    retention,
)
from dppa_lab.zoo.results.retained import paired_gain


def as_json(report: CoefficientReport) -> dict[str, Any]:
    """A JSON-ready copy with accuracies instead of single hits."""

    def shares(hits: DomainHits) -> dict[str, float]:
        return {domain: accuracy(one).value for domain, one in hits.items()}

    return {
        "own": shares(report.own),
        "grid": {f"{c:g}": value for c, value in report.grid.items()},
        "uniform": {"coefficient": report.uniform[0], "test": shares(report.uniform[1])},
        "found": [
            {
                "title": one.title,
                "step": one.step,
                "coefficients": one.coefficients,
                "course": one.course,
                "collapsed": one.collapsed,
                "test": shares(one.marks),
                "gain": asdict(difference(one.marks, report.uniform[1], report.own)),
            }
            for one in report.found
        ],
    }


def difference(merged: DomainHits, other: DomainHits, own: DomainHits) -> Interval:
    """Mean retention of one merge minus another's, paired by item."""
    return paired_gain(merged, other, {domain: accuracy(own[domain]).value for domain in merged})


def markdown(report: CoefficientReport, command: str) -> str:
    """The whole page."""
    coefficient, tested = report.uniform
    settings = common(coefficient, report.search_items)
    items = ", ".join(f"{domain} {len(report.own[domain])}" for domain in DOMAINS)
    return "\n\n".join(
        (
            "# What AdaMerging found on the embedded models",
            f"All three domain models, pruned by DP at {100 * RATE:.0f} %. Accuracy "
            f"in per cent on test items ({items}) with 95 % Wilson intervals; retention is the "
            "mean of score ÷ domain model's own score. The gain over the best uniform coefficient "
            "is paired by item, with its 95 % interval. Coefficients and checkpoints were chosen "
            f"on {report.search_items} search items a domain. {settings.steps} steps of "
            f"{settings.lr:g} where nothing else is said, prompts of the train split without "
            f"answers. Made by `{command}`.",
            "**Uniform coefficients**, mean retention on search items.",
            markdown_table(
                ["coefficient", *(f"{c:g}" for c in report.grid)],
                [["retention", *(f"{100 * value:.0f} %" for value in report.grid.values())]],
            ),
            "**Test split.**",
            markdown_table(
                ["coefficients", *DOMAINS, "mean retention", "gain in points", "best step"],
                [
                    _row(f"uniform {coefficient:g}", tested, report, None),
                    *(_row(one.title, one.marks, report, one) for one in report.found),
                ],
            ),
            "**On the way**: entropy at the answer positions, perplexity of the reference answers "
            "and accuracy, on search items.",
            markdown_table(["coefficients", "checkpoints: step: entropy / perplexity / accuracy"],
                   [[one.title, _course(one)] for one in report.found]),
            "**The coefficients.**",
            markdown_table(["coefficients", *DOMAINS],
                   [[one.title, *map(_numbers, one.coefficients)] for one in report.found]),
            "**What was found.** " + " ".join(findings(report)),
        )
    )  # fmt: skip


def findings(report: CoefficientReport) -> list[str]:
    """Sentences on the results, for and against AdaMerging."""
    lines = []
    coefficient, tested = report.uniform
    for one in report.found:
        gain = difference(one.marks, tested, report.own)
        if one.step == 0 and one.settings.start == coefficient:
            lines.append(f"{capital(one.title)}: no checkpoint was better than the start.")
            continue
        sure = "within" if gain.low <= 0 <= gain.high else "beyond"
        lines.append(
            f"{capital(one.title)}: {100 * gain.value:+.1f} points of mean retention against the "
            f"best uniform coefficient, {sure} the 95 % interval."
        )
    fallen = [one.title for one in report.found if one.collapsed]
    if fallen:
        lines.append(f"A collapse was seen, less entropy with worse answers: {', '.join(fallen)}.")
    return lines


def _row(
    title: str, marks: DomainHits, report: CoefficientReport, found: CoefficientsFound | None
) -> list[str]:
    shares = [accuracy(marks[domain]) for domain in DOMAINS]
    cells = [percent_text(one.value, one.ends, "–") for one in shares]
    kept = f"{100 * retention(marks, report.own):.1f} %"
    if found is None:
        return [title, *cells, kept, "–", "–"]
    gain = difference(marks, report.uniform[1], report.own)
    half = (gain.high - gain.low) / 2
    best = f"{found.step} of {found.settings.steps}"
    return [title, *cells, kept, f"{100 * gain.value:+.1f} ± {100 * half:.1f}", best]


def _course(found: CoefficientsFound) -> str:
    return "; ".join(
        f"{step}: {entropy:.3f} / {perplexity:.3f} / {100 * accuracy:.1f} %"
        for step, entropy, perplexity, accuracy in found.course
    )


def _numbers(row: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in row)
