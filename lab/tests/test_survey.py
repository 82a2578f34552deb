"""The survey of single deltas: rules by hand, their error elsewhere, and a small set measured."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import MissingCheckpoint
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.coefficients import coefficient_of
from dppa_core.pruning.plan import kept_energy
from dppa_core.tasks import DOMAINS
from dppa_lab.reports.survey_tables import survey_tables
from dppa_lab.zoo.joint_search import Budget
from dppa_lab.zoo.results import choosing
from dppa_lab.zoo.results.entry import EMBEDDED
from dppa_lab.zoo.survey import surveyed_set
from dppa_lab.zoo.survey.breaks import break_figures, break_points, crossing
from dppa_lab.zoo.survey.deltas import RATES, PrunedPlace, places_of, shrunk
from dppa_lab.zoo.survey.rule import error, errors_elsewhere, fit, foretold_elsewhere
from dppa_lab.zoo.survey.survey_figures import survey_figures
from lab.tests.helpers.deltas import delta, hits
from tests.helpers.command import Command


def curve(place: PrunedPlace) -> float:
    """Half is kept where the kept share of d² is 0.3."""
    return 1 / (1 + math.exp(-3 * (place.figures["energy kept"] - math.log(0.3 / 0.7))))


def places(count: int = 4) -> list[PrunedPlace]:
    """Deltas of several sizes whose retention depends on the kept energy alone."""
    every = []
    for seed in range(count):
        for size, domain in enumerate(DOMAINS):
            for rate in RATES:
                energy = (1 - rate) ** (0.4 + 0.1 * ((seed + size) % 3))
                place = PrunedPlace(
                    *(str(seed), f"small {seed}", domain, rate, 0.1 + 0.05 * seed, energy),
                    *(energy, 0.0),
                )
                every.append(replace(place, kept=curve(place)))
    return every


def test_a_retention_between_two_factors_lies_on_the_line_between_theirs() -> None:
    measured = {"own": hits(1.0), "shrunk": {"0.5": hits(0.8), "0": hits(0.2)}}
    assert [shrunk(measured, factor) for factor in (0.25, 0.5, 0.75, 1.0)] == pytest.approx(
        [0.5, 0.8, 0.9, 1.0]
    )


def test_a_fit_finds_the_curve_that_made_the_retentions() -> None:
    rule = fit(places(), ("energy kept",))
    assert rule.weights == pytest.approx((-3 * math.log(0.3 / 0.7), 3.0), abs=0.02)
    assert [rule.foretold(place.figures) for place in places()] == pytest.approx(
        [place.kept for place in places()], abs=2e-3
    )


def test_a_fit_to_retentions_of_one_and_of_nothing_stays_finite() -> None:
    extreme = [
        PrunedPlace("a", "small 1", "math", rate, 0.2, 1 - rate, 1.0, 1.2 * (rate < 0.9))
        for rate in RATES
    ]
    rule = fit(extreme, ("rate",))
    assert all(map(math.isfinite, rule.weights))
    assert [round(rule.foretold(place.figures)) for place in extreme] == [1, 1, 0, 0, 0]


def test_the_rule_that_tells_is_better_on_sets_it_has_not_seen() -> None:
    errors = errors_elsewhere(places())
    assert errors["energy kept",] < 0.01
    assert errors["energy kept",] < errors["rate",] < errors["size",]


def test_an_error_is_a_mean_of_the_sets_and_retentions_above_one_count_as_one() -> None:
    few = [
        PrunedPlace("a", "small 1", "math", 0.9, 0.2, 0.5, 1.0, 1.3),
        PrunedPlace("b", "small 2", "math", 0.9, 0.2, 0.5, 1.0, 0.5),
        PrunedPlace("b", "small 2", "law", 0.9, 0.2, 0.5, 1.0, 0.1),
    ]
    assert error(few, np.array([0.8, 0.5, 0.5])) == pytest.approx((0.2 + (0.0 + 0.4) / 2) / 2)


def test_a_figure_that_differs_by_rounding_alone_is_left_out() -> None:
    """The deviation of equal numbers may be 1e-17, by which other deltas would be very far away."""
    alike = [replace(place, change=0.1 + 0.2) for place in places()]
    unlike = replace(alike[0], change=3.0)
    expected = fit(alike, ("energy kept",)).foretold(unlike.figures)
    both = fit(alike, ("energy kept", "size"))
    assert both.foretold(unlike.figures) == pytest.approx(expected, abs=1e-6)


def test_sets_of_one_base_are_left_out_together() -> None:
    alike = [replace(place, base="small 0") for place in places(2)]
    unlike = [replace(place, base="small 1") for place in places(1)]
    rule = fit(unlike, ("rate",))
    foretold = foretold_elsewhere([*alike, *unlike], ("rate",))
    expected = [rule.foretold(place.figures) for place in alike]
    assert foretold[: len(alike)] == pytest.approx(expected)


def record(seed: int, domain: str, magnitude: float, dppa: float) -> dict[str, Any]:
    searched = {"magnitude": magnitude, "dppa": dppa, "dare": magnitude}
    at = [
        {"rate": 0.8, "energy": 0.7, "pruned": {"magnitude": hits(1), "dare": hits(0.5)}},
        {
            "rate": 0.95,
            "energy": 0.3,
            "pruned": {"magnitude": hits(magnitude), "dare": hits(magnitude / 2)},
            "searched": {n: {"values": {}, "hits": hits(s)} for n, s in searched.items()},
        },
    ]
    shrunk = {"0": hits(0), "0.3": hits(0.6)}
    return {**delta(seed, at, domain=domain), "shrunk": shrunk}


def test_the_figures_have_what_methods_add_where_much_is_foretold_lost() -> None:
    records = [
        record(seed, domain, 0.4, 0.6 + seed / 20) for seed in (1, 2, 3) for domain in DOMAINS[1:]
    ]
    assert {place.kept for place in places_of(records, "magnitude")} == {1.0, 0.4}
    assert {place.kept for place in places_of(records, "dare")} == {0.5, 0.2}
    figures = survey_figures(records)
    counts = ("deltas", "sets", "bases", "trained sets", "multiplied sets")
    assert [figures[name] for name in counts] == [6, 3, 3, 3, 0]
    at = figures["kinds"]["small, plain"]["rates"]["95"]
    assert at == pytest.approx({"magnitude": 0.4, "dare": 0.2, "energy": 0.3, "shrunk": 0.6})
    (added,) = figures["added"]
    assert (added["from"], added["places"], added["sets"]) == (0.0, 6, 3)
    assert added["dppa"]["value"] == pytest.approx(0.3) and added["dare"]["value"] == 0
    back = figures["regained by a search"]
    assert (back["places"], back["sets"]) == (6, 3)
    assert (back["lost"], back["lost by shrinking"]) == pytest.approx((0.6, 0.4))
    assert (back["back by DPPA"], back["back by one factor"]) == pytest.approx((0.3, 0))
    more = "places with more back than shrinking costs"
    assert back[more] == 0
    spared = [{**spare, "shrunk": {"0": hits(1.0)}} for spare in records[:2]]
    assert survey_figures(spared)["regained by a search"][more] == 2
    few = {**records[0], "own": hits(0.2)}
    assert places_of([few], "dare") == [], "a fifth is too little to keep"
    assert "rules" not in survey_figures(records[:2]), "one base"


def test_the_tables_have_every_kind_of_set() -> None:
    text = survey_tables(survey_figures([record(seed, "math", 0.4, 0.6) for seed in (1, 2)]))
    assert "| small, plain | 2 | 0.200 | 100 / 50 | 40 / 20 |" in text
    assert "| small, plain | E 70: 100 / 83 | E 30: 40 / 60 |" in text
    assert "| logit p and ln s |" in text and "DARE, at 90" in text


@pytest.mark.parametrize("method", surveyed_set.BANDS)
def test_every_method_leaves_whole_what_is_no_module(method: str) -> None:
    recipe = surveyed_set.entry_alone(method, 0.9, EMBEDDED, "math").recipes()["math"]
    assert recipe.parameters["other_tensors"] == "keep" and len(recipe.models) == 1
    assert len(recipe.models[0].levels) == surveyed_set.BANDS[method]


def test_a_shrunk_delta_is_whole_outside_the_modules() -> None:
    profile = cached_profile(EMBEDDED["base"], EMBEDDED["math"])
    coefficient = surveyed_set.shrunk_coefficient(0.2, profile, 0.5)
    tensors = {
        name: coefficient_of(coefficient, f"model.layers.0.{name}.weight", 6)
        for name in ("self_attn.q_proj", "mlp.up_proj", "input_layernorm")
    }
    assert tensors == {"self_attn.q_proj": 0.1, "mlp.up_proj": 0.1, "input_layernorm": 0.5}
    assert coefficient_of(coefficient, "model.embed_tokens.weight", 6) == 0.5


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread")
def test_a_set_is_surveyed_by_command_and_not_twice(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dppa: Command
) -> None:
    monkeypatch.setattr(surveyed_set, "RATES", (0.5, 0.9))
    monkeypatch.setattr(choosing, "BUDGET", Budget(2, 1))
    arguments = ("zoo", "survey", tiny_zoo, "--out", tmp_path, "--limit", 2, "--search-limit", 1)
    assert dppa(*arguments, "--json") == 0
    deltas = dppa.json["deltas"]
    assert [measured["domain"] for measured in deltas] == list(DOMAINS)
    base = open_checkpoint(str(tiny_zoo / "base")).content_hash()
    assert {measured["set"]["base"] for measured in deltas} == {base}
    first, second = deltas[0]["places"]
    assert set(first["loss"]["measured"]) == {f"{factor:g}" for factor in surveyed_set.FACTORS}
    assert first["loss"]["own"] == second["loss"]["own"]
    assert set(second["searched"]) == {"magnitude", "dppa", "dare"} and "searched" not in first
    assert set(map(len, second["pruned"].values())) == {2}
    assert 0 < second["energy"] < first["energy"] <= 1
    profile = cached_profile(str(tiny_zoo / "base"), str(tiny_zoo / "math"))
    assert kept_energy(profile, 0.0) == pytest.approx(1)
    assert [len(deltas[0]["shrunk"][name]) for name in ("0", "0.5")] == [2, 2]
    assert dppa(*arguments[:2], tiny_zoo, "--limit", 2, "--out", tmp_path / "b", "--no-search") == 0
    assert "Retention in per cent" in dppa.out or not dppa.out.strip()
    (text,) = (tmp_path / "b").iterdir()
    assert not any("searched" in at for of in json.loads(text.read_text()) for at in of["places"])
    assert dppa(*arguments, "--json", "--scale", 0.5, "--out", tmp_path / "c") == 0
    half = dppa.json["deltas"][0]
    assert half["set"]["scale"] == 0.5 and half["change"] == deltas[0]["change"] / 2
    assert not any({"searched", "loss"} & set(at) for at in half["places"])
    assert (tmp_path / "c" / f"{tiny_zoo.name}-x0.5.json").is_file()
    again = (tmp_path / f"{tiny_zoo.name}.json", "--scale", 0.5, "--out", tmp_path / "d")
    assert dppa(*arguments, "--json", *again) == 0
    assert len(dppa.json["deltas"]) == 2 * len(deltas), "a set and its file are not the same"
    monkeypatch.setattr(surveyed_set, "survey_set", pytest.fail)
    assert dppa(*arguments, "--json") == 0 and dppa.json["deltas"] == deltas
    older = [{key: old[key] for key in old if key != "shrunk"} for old in deltas]
    for content in ("{", "[1]", '{"a": 1}', json.dumps(older)):
        (tmp_path / f"{tiny_zoo.name}.json").write_text(content)
        assert dppa(*arguments) == 1 and "not the JSON of a measured set" in dppa.err


def test_a_set_that_is_not_there_is_not_surveyed(tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpoint):
        surveyed_set.survey_set(tmp_path / "nothing")


def test_a_model_breaks_between_two_rates_on_a_line_over_logit_p() -> None:
    assert crossing((0.5, 0.9), (1.0, 0.8)) == pytest.approx(0.75), "half of the way to logit 0.9"
    assert crossing((0.5, 0.9), (0.9, 0.8)) == pytest.approx(0.5)
    assert crossing((0.5, 0.8, 0.9), (1.0, 0.95, 0.91)) is None, "it never breaks"
    assert crossing((0.5, 0.8, 0.9), (0.7, 1.0, 0.8)) is None, "it is broken from the start"


def broken(seed: int, keeps: Sequence[float], energies: Sequence[float], **about: Any) -> Any:
    """A record whose model keeps so much of 20 when pruned."""
    at = [
        {"rate": rate, "energy": energy, "pruned": dict.fromkeys(("magnitude", "dare"), hits(kept))}
        for rate, energy, kept in zip(RATES, energies, keeps, strict=True)
    ]
    return delta(seed, at, change=0.1 + 0.02 * seed, **about)


LATE, SOON = (1.0, 0.95, 0.8, 0.6, 0.4), (1.0, 0.8, 0.7, 0.5, 0.3)


def test_break_points_stand_beside_those_of_the_shrunk_delta() -> None:
    records = [broken(seed, keeps, keeps) for seed, keeps in enumerate((LATE, SOON) * 2)]
    points = break_points(records)
    assert [point.pruned for point in points] == pytest.approx([p.shrunk for p in points])
    whole, never = broken(4, (0.8, *SOON[1:]), SOON), broken(5, (1.0,) * 5, (1.0,) * 5)
    figures = break_figures([*records, whole, never])
    assert (figures["deltas"], figures["broken"]) == (6, 4)
    assert figures["kinds"]["small, plain"]["size"] == pytest.approx(0.13)
    assert figures["correlation with the shrunk one"]["value"] == pytest.approx(1)
    assert break_figures(records[:2]) == {}, "two bases give no interval"


@pytest.mark.long
def test_rules_are_tested_on_a_model_of_another_size_and_not_fitted_to_it() -> None:
    here = [broken(seed, keeps, keeps) for seed, keeps in enumerate((LATE, SOON) * 2)]
    both = survey_figures([*here, broken(9, LATE, LATE, size="smollm2")])
    alone = survey_figures(here)
    assert both["rules"] == alone["rules"] and alone["elsewhere"] == {}
    elsewhere = both["elsewhere"]["magnitude"]
    assert elsewhere["kept"]["smollm2, plain"]["95"]["measured"] == pytest.approx(0.6)
    expected = (0 + 0.05 + 0.2 + 0.4 + 0.6) / 5
    assert elsewhere["errors"]["everything kept"] == pytest.approx(expected)
