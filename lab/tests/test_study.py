"""The study over seeds: comparisons by hand, controls, and a small set measured."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import MissingCheckpoint
from dppa_core.pruning.floats import to_float32
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import holm, p_of_t, student
from dppa_core.tuning.search.joint import Budget
from dppa_lab.reports.study_tables import study_figures, study_table, study_tables
from dppa_lab.zoo import tune
from dppa_lab.zoo.language_model import TUNINGS
from dppa_lab.zoo.results import choosing
from dppa_lab.zoo.study import measure
from dppa_lab.zoo.study.compare import (
    PRIMARY,
    SECONDARY,
    apart,
    by_accuracy,
    claim_rates,
    compare,
    divisors,
    embeddings_whole,
    retention,
)
from dppa_lab.zoo.study.confirmation import confirmation, without_new
from dppa_lab.zoo.study.merges import METHODS, RATES, merges
from dppa_lab.zoo.study.shuffled import shuffle_set
from dppa_lab.zoo.trained_set import trained_set
from tests.helpers.command import Command

SHORT = replace(TUNINGS["lora"], steps=2, batch=2, warmup=1, rank=2)
OWN = dict.fromkeys(DOMAINS, "1" * 8 + "00")


def measured(seed: int, **right: int) -> dict[str, Any]:
    """A set whose merges answer so many of ten items in every domain; 4 where nothing is said."""
    rows = []
    for one in merges():
        bits = ("1" * right.get(one.name, 4)).ljust(10, "0")
        row = {"key": one.key, "name": one.name, "rate": one.rate, "budget": one.budget}
        row["values"] = {"coefficient": 0.75}
        rows.append({**row, "hits": dict.fromkeys(DOMAINS, bits)})
    kind = {"size": "small", "regime": "plain", "seed": seed}
    return {"set": kind, "search_items": 7, "own": OWN, "merges": rows}


@pytest.mark.parametrize(
    ("t", "freedom", "p"), [(2.776, 4, 0.05), (4.604, 4, 0.01), (2.571, 5, 0.05)]
)
def test_p_values_are_those_of_the_tables(t: float, freedom: float, p: float) -> None:
    assert p_of_t(t, freedom) == pytest.approx(p, rel=2e-3)
    assert p_of_t(-t, freedom) == p_of_t(t, freedom)
    assert p_of_t(student(4), 4) == pytest.approx(0.05, abs=1e-6)


def test_holm_is_the_example_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.9]) == (1.0, 1.0)


def test_retention_divides_by_the_own_accuracy() -> None:
    hits = dict.fromkeys(DOMAINS, "1111000000")
    assert retention(hits, OWN) == pytest.approx(0.5)
    assert retention(hits, {**OWN, "law": "1" * 4 + "0" * 6}) == pytest.approx((0.5 + 0.5 + 1) / 3)
    nothing = {**OWN, "law": "0" * 10}
    assert divisors(nothing)["law"] == 1.0
    assert retention(dict.fromkeys(DOMAINS, "0" * 10), nothing) == 0.0


def test_a_difference_over_seeds_is_students() -> None:
    sets = [measured(seed, dppa=right, magnitude=4) for seed, right in ((1, 5), (2, 6), (3, 7))]
    first = compare(sets, 0.9)[0]
    assert (first.one, first.other) == PRIMARY[0][:2]
    assert first.by_seed == pytest.approx((0.125, 0.25, 0.375))
    half = student(2) * 0.125 / 3**0.5
    assert first.over_seeds.ends == pytest.approx((0.25 - half, 0.25 + half))
    assert first.hierarchical.low < 0.25 < first.hierarchical.high
    assert first.verdict == "open", "three seeds so far apart tell nothing"


def test_searches_that_end_at_an_end_of_the_factors_are_counted() -> None:
    of = measured(1)
    for row in of["merges"]:
        if row["name"] == "dppa":
            row["values"] = {"factor1": 1.0, "factor2": 16.0 if row["rate"] == 0.9 else 4.0}
    ends = study_figures([of])["searches"]
    assert (ends["of factors"], ends["of factors, at an end"]) == (4, 2)


def test_sets_of_two_sizes_are_compared_together_where_merges_are_worth_something() -> None:
    def kinds(right: int) -> dict[str, Any]:
        small = [measured(seed, **dict.fromkeys(METHODS, right)) for seed in (1, 2, 3)]
        medium = [{**of, "set": {**of["set"], "size": "medium"}} for of in small]
        found: dict[str, Any] = study_figures([*small, *medium])["kinds"]
        return found

    assert kinds(8)["all sizes, plain"]["sets"] == 6
    assert "all sizes, plain" not in kinds(1), "all keep an eighth, one model a third"


def test_what_every_seed_shows_alike_is_a_finding() -> None:
    sets = [measured(s, dppa=8, magnitude=1, dp=8) for s in (1, 2, 3, 4, 5)]
    found = {(one.one, one.other): one for one in compare(sets, 0.95)}
    assert found["dppa", "magnitude"].verdict == "more"
    assert found["dppa", "dp"].verdict == "alike"
    assert {one.verdict for one in compare(sets, 0.95, SECONDARY)} == {"more"}, "dpa answers 4"
    assert all(one.corrected >= one.p for one in found.values())
    assert claim_rates(sets) == RATES
    assert [len(compare(sets, rate)) for rate in RATES] == [4, 5, 5], "no control at 80 %"
    text = study_tables(sets)
    assert "at 90 % of all entries" in text and "at 95 % of all entries" in text
    assert "By accuracy" not in text
    poor = [{**of, "own": {**OWN, "math": "1" * 4 + "0" * 6}} for of in sets]
    assert "By accuracy:" in study_tables(poor)
    assert compare(by_accuracy(poor), 0.95)[0].over_seeds.value == pytest.approx(0.7)
    none = [{**of, "merges": of["merges"][:-1]} for of in sets]
    assert claim_rates(none) == RATES, "shuffled deltas are in no comparison"
    assert "| DPPA (joint) minus magnitude pruning |" in text and "keeps more" in text
    lacking = [row for row in sets[4]["merges"] if row["key"] != "reversed-90-all"]
    assert claim_rates([*sets[:4], {**sets[4], "merges": lacking}]) == (0.8, 0.95)
    few = study_tables(sets[:2])
    assert "keeps more" not in few
    assert "| magnitude pruning | 90 % | 12.5 % | 10.0, 10.0, 10.0 | -87.5 (" in few


def test_the_table_of_the_study_is_made_of_its_figures() -> None:
    sets = [measured(seed, dppa=8, magnitude=1, task_arithmetic=8) for seed in (1, 2, 3, 4)]
    lines = study_table(study_figures(sets)).splitlines()
    assert lines[3] == (
        "| small, plain | 4 | 90 % | 100.0 | 100.0 | **+87.5 (+77.1 to +97.9)** | +0.0 (+0.0 to "
        "+0.0), within 2 points |"
    )
    alone = study_table(study_figures([*sets, {**sets[0], "set": {**sets[0]["set"], "size": "x"}}]))
    assert "| x, plain | 1 | 90 % | 100.0 | 100.0 | +87.5 (" in alone and "one seed" in alone


def test_two_merges_of_one_set_differ_by_an_interval_over_its_questions() -> None:
    hits = {row["name"]: row["hits"] for row in measured(1, dppa=8, magnitude=1)["merges"]}
    found = apart(hits["magnitude"], hits["dppa"], OWN)
    # By hand: 7 of 10 apart in each domain, divided by 0.8: sd = sqrt(0.7 * 0.3 / 10 / 3) / 0.8.
    assert found.value == pytest.approx(-0.875)
    assert found.low == pytest.approx(-0.875 - 1.96 * 0.1046, abs=0.03)
    assert found.high == pytest.approx(-0.875 + 1.96 * 0.1046, abs=0.03)


def test_shuffled_deltas_keep_their_entries_and_lose_their_places(
    tiny_zoo: Path, tmp_path: Path
) -> None:
    out = shuffle_set(tiny_zoo, tmp_path / "out")
    base, before, after = (
        load_file(folder / "model.safetensors")
        for folder in (tiny_zoo / "base", tiny_zoo / "law", out / "law")
    )
    name = "model.layers.1.mlp.down_proj.weight"
    deltas = [
        (of[name].float() - base[name].float()).flatten().sort().values for of in (before, after)
    ]
    assert torch.allclose(*(one.sort().values for one in deltas), atol=4e-3), (
        "bfloat16 rounds the sum in its new place"
    )
    assert not torch.equal(before[name], after[name])
    assert torch.equal(before["model.norm.weight"], after["model.norm.weight"])


@pytest.mark.usefixtures("one_torch_thread")
def test_a_set_is_measured_whole_by_equal_budgets(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["magnitude-90-all", "dppa-90-all", "reversed-90-all", "shuffled-90-all"]
    few = tuple(one for one in merges() if one.key in wanted)
    monkeypatch.setattr(measure, "merges", lambda: few)
    monkeypatch.setattr(choosing, "BUDGET", Budget(4, 2))
    folder = shutil.copytree(tiny_zoo, tmp_path / "set")
    shutil.move(folder / "base", tmp_path / "base")
    with pytest.raises(MissingCheckpoint, match="no model base"):
        measure.measure_set(folder, limit=2)
    shutil.move(tmp_path / "base", folder / "base")
    told = {"size": "small", "regime": "plain", "seed": 3}
    for name in ("base", *DOMAINS):
        (folder / name / "training.json").write_text(json.dumps(told))
    lines: list[str] = []
    found = measure.measure_set(folder, limit=2, search_items=1, say=lines.append)
    assert found["set"] == told
    assert [row["key"] for row in found["merges"]] == wanted
    assert all(row["tried"] == {"losses": 4, "retentions": 2} for row in found["merges"])
    assert all(len(bits) == 2 for row in found["merges"] for bits in row["hits"].values())
    assert len(lines) == 1 + len(wanted)


def test_a_rate_may_be_left_out(tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(one for one in merges() if one.key in ("magnitude-80-all", "dppa-90-all"))
    monkeypatch.setattr(measure, "merges", lambda: few)
    monkeypatch.setattr(choosing, "BUDGET", Budget(2, 1))
    found = measure.measure_set(tiny_zoo, limit=1, search_items=1, rates=[0.8])
    assert [row["key"] for row in found["merges"]] == ["magnitude-80-all"]


def test_adapters_are_a_set_on_the_base_they_name_and_are_shuffled_as_whole_models(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "search_accuracy", lambda *_: dict.fromkeys(DOMAINS, 0.0))
    for domain in DOMAINS:
        tune.tune_model(str(tiny_zoo / "base"), SHORT, tmp_path / "set", tmp_path, domain, 3)
    found = trained_set(tmp_path / "set")
    assert found.adapted and (found.record["regime"], found.record["seed"]) == ("lora", 3)
    assert found.references["law"] == f"{tiny_zoo / 'base'}+{tmp_path / 'set/law'}"
    whole = found.written(tmp_path / "whole")
    name = "model.layers.1.mlp.down_proj.weight"
    adapted = open_checkpoint(found.references["law"])
    written = load_file(whole / "law" / "model.safetensors")[name].float().numpy().ravel()
    exact = to_float32(adapted.raw(name), adapted.dtype(name))
    np.testing.assert_allclose(written, exact, rtol=2**-8)  # written in the base's bfloat16
    assert (shuffle_set(whole, tmp_path / "shuffled") / "law" / "model.safetensors").is_file()


def test_a_folder_without_domain_models_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpoint, match="dppa zoo train"):
        trained_set(tmp_path)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--rates", "0.7"), "--rates '0.7': the study has 0.8, 0.9, 0.95"),
        (("--methods", "tie"), "Did you mean 'ties'?"),
    ],
)
def test_what_the_study_does_not_have_is_refused_before_anything_is_asked(
    dppa: Command, tiny_zoo: Path, option: tuple[str, str], says: str
) -> None:
    assert dppa("zoo", "study", tiny_zoo, *option) != 0
    assert says in dppa.err


def test_a_measured_set_is_read_from_its_file_and_listed_once(
    dppa: Command, tmp_path: Path
) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(measured(4, dppa=8)))
    assert dppa("zoo", "study", tmp_path / "one", file, "--out", tmp_path, "--json") == 0
    assert [of["set"]["seed"] for of in dppa.json["sets"]] == [4]


def test_whole_models_of_a_base_elsewhere_are_a_set_too(tiny_zoo: Path, tmp_path: Path) -> None:
    for name in DOMAINS:
        shutil.copytree(tiny_zoo / name, tmp_path / "set" / name)
    told = {"base": str(tiny_zoo / "base"), "rank": 0, "stage": {"seed": 2}}
    (tmp_path / "set/math/training.json").write_text(json.dumps(told))
    found = trained_set(tmp_path / "set")
    assert not found.adapted and found.record["seed"] == 2
    whole = found.written(tmp_path / "whole")
    assert (shuffle_set(whole, tmp_path / "shuffled") / "base" / "model.safetensors").is_file()


def test_a_merge_is_compared_with_dppa_of_its_own_budget() -> None:
    of = measured(1)
    for row in of["merges"]:
        if row["key"] == "dppa-90-modules":
            row["hits"] = dict.fromkeys(DOMAINS, "1" * 8 + "00")
    lines = [line for line in study_tables([of]).splitlines() if "magnitude" in line]
    gaps = {line.split(" | ")[1]: line.split(" | ")[4].split(" ")[0] for line in lines}
    assert gaps["90 %"] == "+0.0" and gaps["90 %, embeddings whole"] == "-50.0"


def test_merges_with_whole_embeddings_are_compared_over_three_seeds() -> None:
    sets = [measured(seed) for seed in (1, 2, 3)]
    for of in sets:
        for row in of["merges"]:
            if row["key"] == "dppa-90-modules":
                row["hits"] = dict.fromkeys(DOMAINS, "1" * 6 + "0000")
    found = embeddings_whole(sets, 0.9)
    assert found and found.over_seeds.value == pytest.approx(0.25), "6 and 4 of 8 of its own"
    assert compare(sets, 0.9)[0].over_seeds.value == 0, "all entries"
    assert embeddings_whole(sets[:2], 0.9) is None


def settled(seed: int, **right: int) -> dict[str, Any]:
    of = measured(seed, **right)
    return {**of, "set": {**of["set"], "regime": "settled"}}


def test_sets_of_the_confirmation_are_compared_for_themselves_alone() -> None:
    before = [settled(seed, dppa=4) for seed in (3, 4, 5)]
    after = [settled(seed, dppa=6 + seed % 2, dpa=6 + seed % 2) for seed in (6, 7, 8, 9)]
    after = [*after, {**after[0], "set": {**after[0]["set"], "size": "medium"}}]
    plain = measured(6)
    assert without_new([*before, *after, plain]) == ([*before, plain], after)
    found = confirmation(after)
    pairs = [("dppa", "magnitude"), ("dpa", "magnitude")]
    assert {rate: [(one.one, one.other) for one in of] for rate, of in found.items()} == {
        0.9: pairs,
        0.95: pairs,
    }
    # By hand: three differences of 2 / 8 and two of 3 / 8; four equal p-values.
    each = [one for of in found.values() for one in of]
    assert each[0].over_seeds.value == pytest.approx((3 * 0.25 + 2 * 0.375) / 5)
    assert all(one.corrected == pytest.approx(min(1, 4 * one.p)) for one in each)
    assert {one.verdict for one in each} == {"more"}
    figures, alone = study_figures([*before, *after, plain]), study_figures([*before, plain])
    assert figures["kinds"] == alone["kinds"] and not alone["confirmation"]
    at = figures["confirmation"]["90"]
    assert at["task_arithmetic-dppa"]["value"] == pytest.approx(-0.3)
    assert at["dppa-magnitude"]["value"] == pytest.approx(each[0].over_seeds.value)
    assert without_new([settled(11)]) == ([settled(11)], []), "not planned"
    assert not study_figures(after[:2])["confirmation"], "two sets support no claim"
    section = study_tables([*before, *after, plain]).partition("\n## ")[0]
    assert section.startswith("## Confirmation\n\n") and "corrected, all 4" in section
    assert "By accuracy" not in section
    poor = [{**of, "own": {**OWN, "math": "1" * 4 + "0" * 6}} for of in after]
    assert "By accuracy:" in study_tables(poor)
