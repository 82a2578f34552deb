"""The page's file, assets/data/measured.json: plain values, and sentences of lab/data/page.yaml."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from dppa_core.methods.registry import get_method
from dppa_core.recipes.differences import with_joined_bands
from dppa_core.recipes.yaml_text import MergeRecipe, parse_recipe, recipe_hash
from dppa_lab.reports.conflict_tables import two_manners
from dppa_lab.reports.data import LabData
from dppa_lab.reports.form_tables import forms_by_size
from dppa_lab.zoo.conflicts.conflict_figures import conflict_figures
from dppa_lab.zoo.forms.form_figures import form_figures
from dppa_lab.zoo.study.merges import recipe_of
from dppa_lab.zoo.study.seed_comparison import retention

STUDIED = {
    "embedded-replay-25-pull-5-1": ("zoo:base", "zoo:apart-"),
    "smollm2": ("zoo:smollm2", "zoo:smollm2-"),
}
"""Sets of the study whose models the page offers -> base, and names of the models up to the
domain."""
BESIDE = ("task_arithmetic", "dppa", "magnitude")
"""The merges that the page shows beside a measured one."""
CLICKS_RATES = (0.8, 0.9, 0.95)
"""Pruning rates of the merges that clicks set; the first is that the page opens with."""
NORMAL_95 = 1.959964
"""Standard deviations on each side that hold 95 % of a normal distribution."""


def page_file(data: LabData) -> dict[str, Any]:
    """The content of the page's file, ready for JSON."""
    rows = _rows(data)
    return {
        "merges": [*_merges(data), *_studied_merges(data)],
        "clicks": _clicks(data),
        "purposes": data.file("page.yaml")["purposes"],
        "forms": dict(_forms(data)),
        "manners": two_manners(conflict_figures(data.conflicts)),
        "leaderboard": {"rows": rows, "figures": _figures(data, rows)},
        "experiments": {
            "embedded": data.file("experiments.json"),
            "smollm2": data.file("experiments-smollm2.json"),
        },
    }


def _forms(data: LabData) -> Iterator[tuple[str, dict[str, Any]]]:
    """Models -> the plot of forms by the size of a delta, where several sizes were measured."""
    for models, deltas in data.forms.items():
        kinds = form_figures(deltas)
        if len(kinds) > 1:
            yield models, forms_by_size(kinds)


def _merges(data: LabData) -> Iterator[dict[str, Any]]:
    """Every merge of the results: what it is, the mean retention that it keeps, and its spread."""
    results = data.file("results.json")
    for row in results["merges"]:
        for pair in (row["merged"], *row.get("alone", {}).values()):
            for searched, merge in ((True, pair["best"]), (False, pair["plain"])):
                scores = merge["domains"]
                yield {
                    "recipe": _hash(parse_recipe(merge["recipe"])),
                    "models": [f"zoo:{domain}" for domain in scores],
                    "method": row["method"],
                    "rate": row["rate"],
                    "searched": searched,
                    "kept": merge["kept"],
                    "spread": _spread(
                        {
                            domain: (score["accuracy"], score["n"])
                            for domain, score in scores.items()
                        },
                        {
                            domain: results["models"][domain][domain]["accuracy"]
                            for domain in scores
                        },
                    ),
                    "questions": sum(score["n"] for score in scores.values()),
                }


def _studied_merges(data: LabData) -> Iterator[dict[str, Any]]:
    """Merges of sets of the study, whose rates count all entries; each has searched settings."""
    for name, (base, prefix) in STUDIED.items():
        own_hits = data.study[name]["own"]
        models = {domain: f"{prefix}{domain}" for domain in own_hits}
        for row in data.study[name]["merges"]:
            if row["name"] in BESIDE:
                yield {
                    "recipe": _hash(recipe_of(row, {"base": base, **models})),
                    "models": list(models.values()),
                    "method": row["name"],
                    "rate": row["rate"],
                    "searched": True,
                    "kept": retention(row["hits"], own_hits),
                    "spread": _spread(
                        {
                            domain: (bits.count("1") / len(bits), len(bits))
                            for domain, bits in row["hits"].items()
                        },
                        {domain: bits.count("1") / len(bits) for domain, bits in own_hits.items()},
                    ),
                    "questions": sum(map(len, own_hits.values())),
                }


def _spread(scores: Mapping[str, tuple[float, int]], own: Mapping[str, float]) -> float:
    """Half of a 95 % interval of mean retention over the questions, the models' own accuracies
    taken as exact: the root of the summed variances of the domains' shares."""
    variances = (
        share * (1 - share) / n / own[domain] ** 2 for domain, (share, n) in scores.items()
    )
    return round(NORMAL_95 * math.sqrt(sum(variances)) / len(scores), 6)


def _hash(recipe: MergeRecipe) -> str:
    return recipe_hash(with_joined_bands(recipe))


def _clicks(data: LabData) -> list[dict[str, Any]]:
    """The merges that clicks set, at each of some rates: whole, pruned by magnitude as they are,
    with one factor, and by DPPA, each but the second with searched settings."""
    merges = {(r["method"], r["rate"]): r["merged"] for r in data.file("results.json")["merges"]}
    return [
        {"rate": rate, "name": name, "kept": merge["kept"], "recipe": merge["recipe"]}
        | {"how": f"{text}{_settings(parse_recipe(merge['recipe'])) if searched else ''}"}
        for rate in CLICKS_RATES
        for name, (merge, text, searched) in {
            "whole": (merges["task_arithmetic", 0.0]["best"], "Whole changes, added", True),
            "magnitude": (
                merges["magnitude", rate]["plain"],
                "The largest changes of every matrix, as they are.",
                False,
            ),
            "one factor": (merges["magnitude", rate]["best"], "The same, times one factor", True),
            "DPPA searched": (merges["dppa", rate]["best"], "About as many changes, by DPPA", True),
        }.items()
    ]


def _settings(recipe: MergeRecipe) -> str:
    """What a search chose, as the end of a sentence."""
    model = recipe.models[0]
    factors = " and ".join(f"{factor:.3g}" for factor in model.amplification)
    strength = dict(recipe.parameters).get("strength")
    parts = (
        f"factor{'s' if len(model.amplification) > 1 else ''} {factors}, "
        if model.levels[-1]
        else "",
        f"coefficient {model.coefficient:.3g}",
        f", strength {strength:.3g}" if strength is not None else "",
    )
    return f": {''.join(parts)}, as a search chose them."


def _rows(data: LabData) -> list[dict[str, Any]]:
    """The leaderboard, the best first: retention, and the difference from DPPA."""
    rows = [
        {
            "method": row["method"],
            "retention": row["retention"],
            "mean": row["against_dppa"]["mean"],
            "low": row["against_dppa"]["ci95"][0],
            "high": row["against_dppa"]["ci95"][1],
            "significant": row["against_dppa"]["significant"],
        }
        for row in data.file("leaderboard.json")["rows"]
    ]
    return sorted(rows, key=lambda row: -row["retention"])


def _figures(data: LabData, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Figures of the leaderboard that the lesson on comparisons states."""
    kept = {row["method"]: row["retention"] for row in rows}
    others = [row for row in rows if row["method"] != "dppa"]
    better = [row["method"] for row in others if row["significant"] and row["mean"] > 0]
    level = [row["method"] for row in others if not row["significant"]]
    variants = data.file("leaderboard.json")["variants"]
    (whole,) = (variant for variant in variants if variant["method"] == "dare")
    return {
        "place": list(kept).index("dppa") + 1,
        "methods": len(rows),
        "better": ", ".join(get_method(name).title for name in better),
        "better-count": len(better),
        "level": ", ".join(get_method(name).title for name in level),
        "dppa": kept["dppa"],
        "dare": kept["dare"],
        "dare-whole": whole["retention"],
    }
