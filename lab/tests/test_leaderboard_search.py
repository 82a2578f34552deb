"""What the leaderboard chooses for a method, and what that may cost."""

import math

import pytest

from dppa_core.methods.registry import get_method
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.zoo.results.choosing import BUDGET, ChosenValues, choose
from dppa_lab.zoo.results.entry import entry
from dppa_lab.zoo.results.merge_examiner import MergeExaminer

EXAMINER = MergeExaminer(None, 200)


def test_every_method_is_searched_by_the_same_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """With losses by hand, lowest at the factors 0.8 / 1.2, the coefficient or scale 0.9."""
    wanted = {"factor1": 0.8, "factor2": 1.2, "coefficient": 0.9, "scale": 0.9}
    asked: dict[str, list[MergeRecipe]] = {"loss": [], "hits": []}

    def values(made: MergeRecipe) -> dict[str, float]:
        model, scale = made.models[0], getattr(made.settings(), "scale", 1.0)
        factors = model.amplification if get_method(made.method).prunes else ()
        named = {f"factor{place}": value for place, value in enumerate(factors, 1)}
        assert isinstance(model.coefficient, float)
        return named | {"coefficient": model.coefficient, "scale": scale}

    def loss(self: MergeExaminer, made: MergeRecipe, domain: str) -> float:
        asked["loss"].append(made)
        return 1 + sum(math.log2(value / wanted[name]) ** 2 for name, value in values(made).items())

    def hits(
        self: MergeExaminer, made: MergeRecipe | str, domain: str, split: str
    ) -> tuple[bool, ...]:
        if isinstance(made, str):
            return (True,) * 4
        asked["hits"].append(made)
        return (True, True, False, False)

    monkeypatch.setattr(MergeExaminer, "loss", loss)
    monkeypatch.setattr(MergeExaminer, "hits", hits)
    for name in ("task_arithmetic", "ties", "magnitude", "dare", "dppa"):
        for kind in asked.values():
            kind.clear()
        found = choose(entry(get_method(name)), EXAMINER)
        assert len(set(asked["loss"])) == found.losses <= BUDGET.losses
        assert len(set(asked["hits"])) == found.retentions <= BUDGET.accuracies
        for axis, value in found.values.items():
            assert axis == "strength" or value == pytest.approx(wanted[axis], rel=0.08), name
    assert list(found.values) == ["factor1", "factor2", "coefficient", "strength"]
    assert choose(entry(get_method("linear")), EXAMINER) == ChosenValues({}, 0, 0, {})
