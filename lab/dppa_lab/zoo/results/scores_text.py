"""The results page as Markdown; every number comes from the measured report."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.evaluation.scores import DomainScore
from dppa_core.evaluation.tables import (
    listed,
    markdown_table,
    percent_text,
    settings_text,
    signed_text,
)
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Hits, Interval
from dppa_lab.zoo.results.choosing import BUDGET
from dppa_lab.zoo.results.retained import paired_gain, scores, sides
from dppa_lab.zoo.results.scores import MethodScores, SearchedMerge, ZooReport

TITLES = {"magnitude": "magnitude", "dare": "DARE", "dp": "DP", "dppa": "DPPA"}


def markdown(report: ZooReport, command: str) -> str:
    """The whole page: the models, all three merged, each domain pruned, and the findings."""
    items = "all test items" if report.test_items is None else f"{report.test_items} test items"
    return "\n\n".join(
        (
            f"Accuracy in per cent on {items} of each domain, with 95 % intervals. Every method "
            "treats the modules and keeps the whole delta of the other tensors. DP is DPPA with "
            "one partition: one factor for all that is kept. *As pruned*: all factors and "
            "coefficients are 1, DP's strength is the paper's. *Searched*: factors, coefficient "
            "and strength, as far "
            f"as a method has them, were chosen together on {report.search_items} search items a "
            f"domain, with one budget for all: at most {BUDGET.losses} settings by loss, "
            f"{BUDGET.accuracies} of them by accuracy. *Retention* is accuracy divided by the "
            "domain model's own, averaged over the domains. Differences are in points, between "
            f"answers to the same items. Made by `{command}`.",
            "**The models.** " + _models_sentence(report),
            _models_table(report),
            "**All three merged.**",
            _merged_table(report),
            "**What was found.** " + " ".join(findings(report)),
            "## One domain at a time",
            "Its delta pruned and put back on the base, scored on its own domain: as pruned → "
            "searched.",
            _alone_table(report),
            "## Chosen on the search split",
            _settings_table(report),
        )
    )


def findings(report: ZooReport) -> list[str]:
    """Sentences on the results, for and against DPPA."""
    best = max(report.treated, key=lambda row: row.merged.best.kept(report.own))
    others = [row for row in report.treated if row is not best]
    found = sides([report.gain(row.merged.best, best.merged.best) for row in others])
    alike = [_named(row) for row, side in zip(others, found, strict=True) if not side]
    kept, whole = best.merged.best.kept(report.own), report.whole.best.kept(report.own)
    apart = f"; not told apart from it (Holm): {listed(alike)}" if alike else ""
    lines = [
        f"Of the pruned merges {_named(best)} keeps most, {100 * kept:.1f} % of the domain models' "
        f"accuracy{apart}. Whole deltas (task arithmetic) keep {100 * whole:.1f} %."
    ]
    for rate in sorted({row.rate for row in report.treated}):
        rows = [row for row in report.treated if row.rate == rate]
        lines.append(_at_rate(report, rate, {row.method: row for row in rows}))
    return lines


def _named(row: MethodScores) -> str:
    return f"{TITLES[row.method]} at {100 * row.rate:.0f} %"


def _at_rate(report: ZooReport, rate: float, rows: Mapping[str, MethodScores]) -> str:
    """Who keeps how much when merged; DPPA beside magnitude pruning, the simplest."""
    kept = {name: row.merged.best.kept(report.own) for name, row in rows.items()}
    order = sorted(kept, key=lambda name: -kept[name])
    told = ", ".join(f"{TITLES[name]} {100 * kept[name]:.1f} %" for name in order)
    line = f"At {100 * rate:.0f} % pruning, merged and searched: {told}."
    if not {"dppa", "magnitude"} <= rows.keys():
        return line
    gain = report.gain(rows["dppa"].merged.best, rows["magnitude"].merged.best)
    return f"{line} DPPA minus magnitude: {_points(gain)} points."


def accuracy_text(scored: DomainScore) -> str:
    """Accuracy with its interval, in per cent."""
    return percent_text(scored.accuracy, scored.ci95, "–")


def _models_sentence(report: ZooReport) -> str:
    answered = listed([f"{name} {100 * share:.0f} %" for name, share in report.own.items()])
    base = scores(report.models["base"]).mean
    return (
        f"The base answers {100 * base:.0f} % on average; the domain models answer of their own "
        f"domain: {answered}."
    )


def _models_table(report: ZooReport) -> str:
    rows = [
        [name if name == "base" else f"{name} model", *_accuracies(hits)]
        for name, hits in report.models.items()
    ]
    return markdown_table(["model", *DOMAINS], rows)


def _accuracies(hits: Mapping[str, Hits]) -> list[str]:
    return [accuracy_text(one) for one in scores(hits).domains.values()]


def _merged_table(report: ZooReport) -> str:
    merges = [(0.0, "task arithmetic", report.whole)]
    merges += [(row.rate, TITLES[row.method], row.merged) for row in report.treated]
    rows = [
        [
            f"{100 * rate:.0f} %",
            title,
            f"{100 * one.plain.kept(report.own):.1f} %",
            f"{100 * one.best.kept(report.own):.1f} %",
            _points(report.gain(one.best, one.plain)),
            *_accuracies(one.best.hits),
        ]
        for rate, title, one in merges
    ]
    head = ["pruned", "method", "retention as pruned", "searched", "gain by the search"]
    return markdown_table([*head, *(f"{domain}, searched" for domain in DOMAINS)], rows)


def _alone_table(report: ZooReport) -> str:
    rows = [
        [
            f"{100 * row.rate:.0f} %",
            TITLES[row.method],
            *(_before_after(row.alone[domain], domain) for domain in DOMAINS),
            _mean_gain(report, row),
        ]
        for row in report.treated
        if row.alone
    ]
    return markdown_table(["pruned", "method", *DOMAINS, "mean gain of retention"], rows)


def _before_after(merge: SearchedMerge, domain: str) -> str:
    before = merge.plain.found.domains[domain].accuracy
    return f"{100 * before:.1f} → {accuracy_text(merge.best.found.domains[domain])}"


def _mean_gain(report: ZooReport, row: MethodScores) -> str:
    best = {domain: one.best.hits[domain] for domain, one in row.alone.items()}
    plain = {domain: one.plain.hits[domain] for domain, one in row.alone.items()}
    return _points(paired_gain(best, plain, report.own))


def _settings_table(report: ZooReport) -> str:
    rows = [["0 %", "task arithmetic", _settings(report.whole), *["–"] * len(DOMAINS)]]
    rows += [
        [
            f"{100 * row.rate:.0f} %",
            TITLES[row.method],
            _settings(row.merged),
            *(_settings(row.alone[d]) if row.alone else "–" for d in DOMAINS),
        ]
        for row in report.treated
    ]
    return markdown_table(["pruned", "method", "all three", *DOMAINS], rows)


def _settings(merge: SearchedMerge) -> str:
    return settings_text(merge.chosen.values)


def _points(found: Interval) -> str:
    return signed_text(found.value, found.ends)
