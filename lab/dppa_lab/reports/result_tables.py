"""Tables of the results, the experiments, the climb and AdaMerging, from their JSON."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.charts.tables import markdown_table, percent_text, settings_text, signed_text
from dppa_core.tasks import DOMAINS
from dppa_lab.reports.data import Values

TITLES = {
    "task_arithmetic": "task arithmetic",
    "magnitude": "magnitude",
    "dare": "DARE",
    "dp": "DP",
    "dppa": "DPPA",
}
README_TITLES = {"task_arithmetic": "whole deltas added", "magnitude": "magnitude", "dppa": "DPPA"}
DOMAIN_COLUMNS = [f"{name} %" for name in DOMAINS]


def readme_table(results: Values) -> str:
    """Retention of a merge of all three by method and rate."""
    kept = {(r["method"], r["rate"]): r["merged"]["best"]["kept"] for r in results["merges"]}
    rates = sorted({rate for _, rate in kept if rate})
    rows = [
        [title, *(_percent(kept.get((name, rate))) for rate in (0, *rates))]
        for name, title in README_TITLES.items()
    ]
    head = ["not pruned", *(f"{_percent(rate)} pruned" for rate in rates)]
    return markdown_table(["method", *head], rows)


def merged_table(results: Values) -> str:
    """All three models in one, as pruned and searched."""
    rows = []
    for row in results["merges"]:
        merged = row["merged"]
        gap = None if row["method"] == "magnitude" else merged["minus"].get("magnitude")
        rows.append(
            [
                _percent(row["rate"] or None),
                TITLES[row["method"]],
                *(f"{100 * merged[when]['kept']:.1f}" for when in ("plain", "best")),
                "–" if gap is None else _signed(gap),
                *(_accuracy(merged["best"]["domains"][name]) for name in DOMAINS),
            ]
        )
    head = ["pruned", "method", "as pruned", "searched", "minus magnitude"]
    return markdown_table([*head, *DOMAIN_COLUMNS], rows)


def result_tables(results: Values) -> str:
    """All tables of the results: the models; all three in one; each pruned alone, accuracy as
    pruned → searched; and the settings that a search chose of all three together."""
    models = [
        [name, *(_accuracy(scores[domain]) for domain in DOMAINS)]
        for name, scores in results["models"].items()
    ]
    merges = [(_percent(r["rate"]), TITLES[r["method"]], r) for r in results["merges"]]
    alone = [
        [rate, title, *(_before_after(row["alone"][name], name) for name in DOMAINS)]
        for rate, title, row in merges
        if row.get("alone")
    ]
    settings = [
        [rate, title, settings_text(row["merged"]["values"])] for rate, title, row in merges
    ]
    tables = (
        markdown_table(["model", *DOMAIN_COLUMNS], models),
        merged_table(results),
        markdown_table(["pruned", "method", *DOMAIN_COLUMNS], alone),
        markdown_table(["pruned", "method", "chosen"], settings),
    )
    return "\n\n".join(tables)


def experiments_table(embedded: Values, smollm2: Values) -> str:
    """The hand-written findings of both sets of models in short, one row an experiment."""
    shorts = {run["key"]: run["short"] for run in smollm2["experiments"]}
    rows = [
        [
            f"{run['title']} ({run['number']})",
            run["question"].replace("|", "\\|"),
            run["short"],
            shorts.get(run["key"], "–"),
        ]
        for run in embedded["experiments"]
    ]
    return markdown_table(["experiment", "question", "embedded", "SmolLM2"], rows)


def coefficient_table(measured: Values) -> str:
    """Accuracies on test items, and gains over the best uniform coefficient."""
    uniform = measured["uniform"]
    title = f"uniform {uniform['coefficient']:g}"
    rows = [[title, *_shares(measured, uniform["test"]), "–", "–"]]
    for way in measured["found"]:
        shares = _shares(measured, way["test"])
        rows.append([way["title"], *shares, _signed(way["gain"]), f"{way['step']}"])
    head = ["coefficients", *DOMAIN_COLUMNS, "retention", "points more", "step"]
    return markdown_table(head, rows)


def coefficient_tables(measured: Values) -> str:
    """All tables of the measurement."""
    courses = [
        [way["title"], f"{step}", f"{entropy:.3f}", f"{perplexity:.3f}", f"{100 * right:.1f} %"]
        for way in measured["found"]
        for step, entropy, perplexity, right in way["course"]
    ]
    coefficients = [
        [way["title"], *(" ".join(f"{x:.2f}" for x in row) for row in way["coefficients"])]
        for way in measured["found"]
    ]
    tables = (
        markdown_table(list(measured["grid"]), [[*map(_percent, measured["grid"].values())]]),
        coefficient_table(measured),
        markdown_table(["coefficients", "step", "entropy", "perplexity", "accuracy"], courses),
        markdown_table(["coefficients", *DOMAINS], coefficients),
    )
    return "\n\n".join(tables)


def search_tables(search: Values) -> str:
    """The climb: each model alone, then all in one beside merges without a search."""
    alone = [
        [
            test["domain"],
            " / ".join(f"{factor:g}" for factor in climbed["factors"]),
            *(_accuracy(test["own"]), _accuracy(test["alone"])),
            percent_text(test["retention"], tuple(test["retention_ci95"]), "–"),
            test["claim"],
        ]
        for test, climbed in zip(search["test"], search["models"], strict=True)
    ]
    beside = search["beside"]
    merged = [
        [
            f"{test['domain']} %",
            _accuracy(test["merged"]),
            *(_accuracy(merge["domains"][test["domain"]]) for merge in beside),
        ]
        for test in search["test"]
    ]
    kept = [search["retention"], *(merge["retention"] for merge in beside)]
    texts = [percent_text(ratio["value"], tuple(ratio["ci95"]), "–") for ratio in kept]
    merged.append(["retention (geometric)", *texts])
    head = ["alone", "factors", "model %", "pruned %", "retention", "90 % kept"]
    names = ["all in one", "climbed", *(merge["name"] for merge in beside)]
    return f"{markdown_table(head, alone)}\n\n{markdown_table(names, merged)}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _shares(measured: Values, test: Mapping[str, float]) -> list[str]:
    kept = sum(test[name] / measured["own"][name] for name in DOMAINS) / len(DOMAINS)
    return [*(f"{100 * test[name]:.1f}" for name in DOMAINS), f"{100 * kept:.1f}"]


def _before_after(merge: Values, domain: str) -> str:
    before, after = (merge[when]["domains"][domain] for when in ("plain", "best"))
    return f"{100 * before['accuracy']:.1f} → {_accuracy(after)}"


def _accuracy(score: Values) -> str:
    return percent_text(score["accuracy"], tuple(score["ci95"]), "–")


def _signed(gap: Values) -> str:
    return signed_text(gap["value"], (gap["low"], gap["high"]))
