"""The results page as Markdown; every number comes from the measured report."""

from __future__ import annotations

from dppa_core.evaluation.scores import DomainScore
from dppa_core.evaluation.tables import factors_text, markdown_table, percent_text
from dppa_core.studies.zoo.results.scores import MethodScores, ZooReport, retained
from dppa_core.tasks import DOMAINS

TITLES = {"magnitude": "magnitude", "dare": "DARE", "dp": "DP", "dppa": "DPPA"}


def markdown(report: ZooReport, command: str) -> str:
    """The whole page: scores, each domain pruned, all three merged, and the findings."""
    items = "all test items" if report.test_items is None else f"{report.test_items} test items"
    return "\n\n".join(
        (
            f"Accuracy in per cent on {items} of each domain, with 95 % Wilson intervals; factors "
            f"and coefficients were chosen on {report.search_items} search items a domain. Every "
            "method treats the modules and keeps the whole delta of the other tensors. "
            f"Made by `{command}`.",
            "**The models.** " + _models_sentence(report),
            _models_table(report),
            "**All three merged**, one coefficient for all, the best on the search split.",
            _merged_table(report),
            "**What was found.** " + " ".join(findings(report)),
            "## One domain at a time",
            "Its delta pruned and put back on the base, scored on its own domain.",
            _alone_table(report),
        )
    )


def findings(report: ZooReport) -> list[str]:
    """Sentences on the results, for and against DPPA."""
    own = {domain: report.own[domain].domains[domain].accuracy for domain in DOMAINS}
    best = max(report.treated, key=lambda row: retained(row.merged, own))
    plain = retained(report.plain[1], own)
    lines = [
        f"The best pruned merge is {TITLES[best.method]} at {100 * best.rate:.0f} %: it keeps "
        f"{100 * retained(best.merged, own):.0f} % of the domain models' scores on average; whole "
        f"deltas (task arithmetic) keep {100 * plain:.0f} %."
    ]
    for rate in sorted({row.rate for row in report.treated}):
        rows = {row.method: row for row in report.treated if row.rate == rate}
        means = {name: sum(e.mean for e in row.alone.values()) / 3 for name, row in rows.items()}
        order = sorted(means, key=lambda name: -means[name])
        told = ", ".join(f"{TITLES[name]} {100 * means[name]:.0f} %" for name in order)
        lines.append(
            f"At {100 * rate:.0f} % pruning, mean accuracy of the domains pruned one at a time: "
            f"{told}."
        )
    dare = next((r for r in report.treated if r.method == "dare" and r.rate == 0.9), None)
    if dare:
        lost = [d for d in DOMAINS if dare.alone[d].mean < 0.9 * own[d]]
        where = ", ".join(lost) if lost else "no domain"
        lines.append(
            f"One draw of DARE at 90 % loses more than a tenth of the score in {where}; one draw "
            "says little, and the experiments say from several which deltas are large."
        )
    return lines


def accuracy_text(scored: DomainScore) -> str:
    """Accuracy with its interval, in per cent."""
    return percent_text(scored.accuracy, scored.ci95, "–")


def _models_sentence(report: ZooReport) -> str:
    own = {domain: report.own[domain].domains[domain].accuracy for domain in DOMAINS}
    answered = ", ".join(f"{name} {100 * share:.0f} %" for name, share in own.items())
    return (
        f"The base answers {100 * report.base.mean:.0f} % on average; "
        f"the domain models answer of their own domain: {answered}."
    )


def _models_table(report: ZooReport) -> str:
    found = {"base": report.base} | {f"{name} model": own for name, own in report.own.items()}
    rows = [
        [name, *(accuracy_text(scores.domains[domain]) for domain in DOMAINS)]
        for name, scores in found.items()
    ]
    return markdown_table(["model", *DOMAINS], rows)


def _factors(row: MethodScores) -> str:
    return "; ".join(f"{domain} {factors_text(of)}" for domain, of in row.factors.items())


def _alone_table(report: ZooReport) -> str:
    rows = [
        [
            f"{100 * row.rate:.0f} %",
            TITLES[row.method],
            *(accuracy_text(row.alone[domain].domains[domain]) for domain in DOMAINS),
            _factors(row) or "–",
        ]
        for row in sorted(report.treated, key=lambda row: row.rate)
    ]
    return markdown_table(
        ["pruned", "method", *DOMAINS, "factors (strongest / next band, ×)"], rows
    )


def _merged_table(report: ZooReport) -> str:
    own = {domain: report.own[domain].domains[domain].accuracy for domain in DOMAINS}
    merges = [(0.0, "task arithmetic", *report.plain)]
    for row in sorted(report.treated, key=lambda row: row.rate):
        merges.append((row.rate, TITLES[row.method], row.coefficient, row.merged))
    rows = [
        [
            *(f"{100 * rate:.0f} %", title, f"{coefficient:g}"),
            *(accuracy_text(scores.domains[domain]) for domain in DOMAINS),
            f"{100 * retained(scores, own):.0f} %",
        ]
        for rate, title, coefficient, scores in merges
    ]
    return markdown_table(["pruned", "method", "coefficient (×)", *DOMAINS, "mean retention"], rows)
