"""Tables of the results, the climb and AdaMerging, from their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dppa_core.evaluation.tables import markdown_table, percent_text, settings_text, signed_text
from dppa_core.tasks import DOMAINS

Values = Mapping[str, Any]
TITLES = {
    "task_arithmetic": "task arithmetic",
    "magnitude": "magnitude",
    "dare": "DARE",
    "dp": "DP",
    "dppa": "DPPA",
}
README_METHODS = ("task_arithmetic", "magnitude", "dppa")


def readme_table(results: Values) -> str:
    """What a merge of all three keeps by method and rate."""
    kept = {(r["method"], r["rate"]): r["merged"]["best"]["kept"] for r in results["merges"]}
    rates = sorted({rate for _, rate in kept if rate})
    rows = [
        [TITLES[name] if name != "task_arithmetic" else "whole deltas added"]
        + [
            f"{100 * kept[at]:.0f} %" if (at := (name, rate)) in kept else "–"
            for rate in (0, *rates)
        ]
        for name in README_METHODS
    ]
    head = ["not pruned", *(f"{100 * rate:.0f} % pruned" for rate in rates)]
    return markdown_table(["method", *head], rows)


def merged_table(results: Values) -> str:
    """All three models in one, as pruned and searched."""
    rows = []
    for row in results["merges"]:
        one = row["merged"]
        against = one["minus"].get("magnitude")
        rows.append(
            [
                f"{100 * row['rate']:.0f} %" if row["rate"] else "–",
                TITLES[row["method"]],
                f"{100 * one['plain']['kept']:.1f}",
                f"{100 * one['best']['kept']:.1f}",
                "–" if against is None or row["method"] == "magnitude" else _signed(against),
                *(_accuracy(one["best"]["domains"][name]) for name in DOMAINS),
            ]
        )
    head = ["pruned", "method", "as pruned", "searched", "minus magnitude"]
    return markdown_table([*head, *(f"{name} %" for name in DOMAINS)], rows)


def alone_table(results: Values) -> str:
    """Each model pruned alone: accuracy as pruned → searched."""
    rows = [
        [
            f"{100 * row['rate']:.0f} %",
            TITLES[row["method"]],
            *(_before_after(row["alone"][name], name) for name in DOMAINS),
        ]
        for row in results["merges"]
        if row.get("alone")
    ]
    return markdown_table(["pruned", "method", *(f"{name} %" for name in DOMAINS)], rows)


def settings_table(results: Values) -> str:
    """The settings that a search chose of all three together."""
    rows = [
        [
            f"{100 * row['rate']:.0f} %",
            TITLES[row["method"]],
            settings_text(row["merged"]["values"]),
        ]
        for row in results["merges"]
    ]
    return markdown_table(["pruned", "method", "chosen"], rows)


def result_tables(results: Values) -> str:
    """All tables of the results."""
    models = [
        [name, *(_accuracy(of[domain]) for domain in DOMAINS)]
        for name, of in results["models"].items()
    ]
    tables = (
        markdown_table(["model", *(f"{name} %" for name in DOMAINS)], models),
        merged_table(results),
        alone_table(results),
        settings_table(results),
    )
    return "\n\n".join(tables)


def coefficient_table(found: Values) -> str:
    """Accuracies on test items, and gains over the best uniform coefficient."""
    uniform = found["uniform"]
    first = [f"uniform {uniform['coefficient']:g}", *_shares(found, uniform["test"]), "–", "–"]
    rows = [first]
    for one in found["found"]:
        gain = _signed(one["gain"])
        rows.append([one["title"], *_shares(found, one["test"]), gain, f"{one['step']}"])
    head = ["coefficients", *(f"{name} %" for name in DOMAINS), "retention", "points more", "step"]
    return markdown_table(head, rows)


def coefficient_tables(found: Values) -> str:
    """All tables of the measurement."""
    grid = [[f"{100 * value:.0f} %" for value in found["grid"].values()]]
    courses = [
        [one["title"], f"{step}", f"{entropy:.3f}", f"{perplexity:.3f}", f"{100 * right:.1f} %"]
        for one in found["found"]
        for step, entropy, perplexity, right in one["course"]
    ]
    rows = [
        [one["title"], *(" ".join(f"{x:.2f}" for x in row) for row in one["coefficients"])]
        for one in found["found"]
    ]
    tables = (
        markdown_table(list(found["grid"]), grid),
        coefficient_table(found),
        markdown_table(["coefficients", "step", "entropy", "perplexity", "accuracy"], courses),
        markdown_table(["coefficients", *DOMAINS], rows),
    )
    return "\n\n".join(tables)


def search_tables(found: Values) -> str:
    """The climb: each model alone, then all in one beside merges without a search."""
    alone = [
        [
            one["domain"],
            " / ".join(f"{factor:g}" for factor in climbed["factors"]),
            _accuracy(one["own"]),
            _accuracy(one["alone"]),
            percent_text(one["retention"], tuple(one["retention_ci95"]), "–"),
            one["claim"],
        ]
        for one, climbed in zip(found["test"], found["models"], strict=True)
    ]
    beside = found["beside"]
    merged = [
        [
            f"{one['domain']} %",
            _accuracy(one["merged"]),
            *(_accuracy(other["domains"][one["domain"]]) for other in beside),
        ]
        for one in found["test"]
    ]
    kept = [percent_text(of["value"], tuple(of["ci95"]), "–") for of in _retentions(found)]
    merged.append(["retention (geometric)", *kept])
    head = ["alone", "factors", "model %", "pruned %", "retention", "90 % kept"]
    return "\n\n".join(
        (
            markdown_table(head, alone),
            markdown_table(["all in one", "climbed", *(one["name"] for one in beside)], merged),
        )
    )


def _retentions(found: Values) -> list[Values]:
    return [found["retention"], *(one["retention"] for one in found["beside"])]


def _shares(found: Values, test: Mapping[str, float]) -> list[str]:
    kept = sum(test[name] / found["own"][name] for name in DOMAINS) / len(DOMAINS)
    return [*(f"{100 * test[name]:.1f}" for name in DOMAINS), f"{100 * kept:.1f}"]


def _before_after(pair: Values, domain: str) -> str:
    before, after = (pair[when]["domains"][domain] for when in ("plain", "best"))
    return f"{100 * before['accuracy']:.1f} → {_accuracy(after)}"


def _accuracy(score: Values) -> str:
    return percent_text(score["accuracy"], tuple(score["ci95"]), "–")


def _signed(found: Values) -> str:
    return signed_text(found["value"], (found["low"], found["high"]))
