"""The page's file, assets/data/measured.json: plain values and finished sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dppa_core.evaluation.tables import settings_text
from dppa_core.methods.registry import get_method
from dppa_core.recipes.differences import with_joined_bands
from dppa_core.recipes.yaml_text import parse_recipe, recipe_hash
from dppa_core.tasks.intervals import Interval
from dppa_lab.reports.data import LabData, Values
from dppa_lab.zoo.study.compare import retention
from dppa_lab.zoo.study.merges import recipe_of

STUDIED = {
    "embedded-replay-25-pull-5-1": ("zoo:base", "zoo:apart-"),
    "smollm2": ("zoo:smollm2", "zoo:smollm2-"),
}
"""Sets of the study whose models the page offers -> base, and names of the models up to the
domain."""
BESIDE = ("task_arithmetic", "dppa", "magnitude")
"""The merges that the page tells beside a measured one."""
OPENING_RATE = 0.8
"""The pruning rate that the page opens with."""
FOR_EACH_DOMAIN = "emr"
"""The method that makes a checkpoint for each domain, not one for all."""


def page_file(data: LabData) -> dict[str, Any]:
    """All of it, ready for JSON."""
    studied = (one for name, names in STUDIED.items() for one in _studied(data, name, *names))
    return {
        "merges": [*_merges(data), *studied],
        "clicks": _clicks(data),
        "purposes": _purposes(data),
        "leaderboard": {"rows": _rows(data), "figures": _figures(data)},
        "experiments": {"embedded": data.experiments, "smollm2": data.experiments_smollm2},
    }


def _merges(data: LabData) -> Iterator[dict[str, Any]]:
    """Every merge of the results: what it is, and the mean retention that it keeps."""
    for row in data.results["merges"]:
        for pair in (row["merged"], *row.get("alone", {}).values()):
            for searched, one in ((True, pair["best"]), (False, pair["plain"])):
                yield {
                    "recipe": recipe_hash(with_joined_bands(parse_recipe(one["recipe"]))),
                    "models": [f"zoo:{domain}" for domain in one["domains"]],
                    "method": row["method"],
                    "rate": row["rate"],
                    "searched": searched,
                    "kept": one["kept"],
                    "questions": sum(found["n"] for found in one["domains"].values()),
                }


def _studied(data: LabData, name: str, base: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Merges of a set, whose rates count all entries; each has searched settings."""
    of = data.study[name]
    models = {domain: f"{prefix}{domain}" for domain in of["own"]}
    for row in of["merges"]:
        if row["name"] in BESIDE:
            merge = recipe_of(row, {"base": base, **models})
            yield {
                "recipe": recipe_hash(with_joined_bands(merge)),
                "models": list(models.values()),
                "method": row["name"],
                "rate": row["rate"],
                "searched": True,
                "kept": retention(row["hits"], of["own"]),
                "questions": sum(map(len, of["own"].values())),
            }


def _clicks(data: LabData) -> list[dict[str, Any]]:
    """The merges that clicks set: whole, pruned by magnitude as they are, with one factor, and by
    DPPA, each but the second with searched settings."""
    known = {(row["method"], row["rate"]): row["merged"] for row in data.results["merges"]}
    one, ours = known["magnitude", OPENING_RATE], known["dppa", OPENING_RATE]
    told = (
        ("whole", "Whole changes, added.", known["task_arithmetic", 0.0]["best"]),
        (
            "magnitude",
            "The largest changes of every matrix, as they are, "
            f"{100 * OPENING_RATE:.0f}\u202f% pruned.",
            one["plain"],
        ),
        (
            "one factor",
            "The same changes of the matrices, all times one factor: "
            f"{settings_text(one['values'])}, as a search chose them.",
            one["best"],
        ),
        (
            "DPPA",
            f"About the same changes, by DPPA: {settings_text(ours['values'])}, as a search of as "
            "many settings chose them.",
            ours["best"],
        ),
    )
    return [
        {"name": name, "how": how, "kept": merge["kept"], "recipe": merge["recipe"]}
        for name, how, merge in told
    ]


def _purposes(data: LabData) -> str:
    """The best merges of the embedded models for each purpose."""
    rows = data.board["rows"]
    told = {r["method"]: f"{get_method(r['method']).title} ({_tenths(r)})" for r in rows}
    (own,) = (row for row in rows if row["method"] == "dppa")
    one = [row for row in rows if row["method"] != FOR_EACH_DOMAIN]
    sparse = [row for row in one if get_method(row["method"]).prunes]
    alike = [r for r in sparse if r is own or not r["against_dppa"]["significant"]]
    best = alike if own is sparse[0] else sparse[:1]
    seen = ", no difference seen" if len(best) > 1 else ""
    asked = sum(found["n"] for found in own["domains"].values())
    pruned = " or ".join(told[row["method"]] for row in best)
    return (
        f"Of the embedded toys, trained once, on {asked:,} test questions, in brackets what is "
        f"kept of their own accuracy at settings searched for each method. For the best answers of "
        f"one model: {told[one[0]['method']]}. For small packs, a fifth of each change: "
        f"{pruned}{seen}. For smaller ones, a twentieth of each matrix: {_sparsest(data)}. If each "
        f"kind of question may have a model of its own: {told[FOR_EACH_DOMAIN]}."
    )


def _sparsest(data: LabData) -> str:
    """DPPA and magnitude pruning at the highest rate of the results, and whether they differ."""
    last = max(row["rate"] for row in data.results["merges"])
    known = {row["method"]: row["merged"] for row in data.results["merges"] if row["rate"] == last}
    told = {
        name: f"{get_method(name).title} ({100 * known[name]['best']['kept']:.1f}\u202f%)"
        for name in ("dppa", "magnitude")
    }
    gap = Interval(**known["dppa"]["minus"]["magnitude"])
    if gap.low <= 0 <= gap.high:
        return f"{told['dppa']} or {told['magnitude']}, no difference seen"
    best, other = ("dppa", "magnitude") if gap.value > 0 else ("magnitude", "dppa")
    return f"{told[best]}, before {told[other]}"


def _tenths(row: Values) -> str:
    return f"{100 * row['retention']:.1f}\u202f%"


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
        for row in data.board["rows"]
    ]
    return sorted(rows, key=lambda row: -row["retention"])


def _figures(data: LabData) -> Mapping[str, Any]:
    """What the lesson on comparisons states of it."""
    rows = _rows(data)
    kept = {row["method"]: row["retention"] for row in rows}
    others = [row for row in rows if row["method"] != "dppa"]
    better = [row["method"] for row in others if row["significant"] and row["mean"] > 0]
    level = [row["method"] for row in others if not row["significant"]]
    (whole,) = (one for one in data.board["variants"] if one["method"] == "dare")
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
