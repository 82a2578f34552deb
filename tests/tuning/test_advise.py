"""The advise command on tiny models; its questions, with answers by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam, Marks, Target
from dppa_core.profiling.profile import cached_profile
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, Pruning, dump_recipe
from dppa_core.tuning.advice.gather_facts import (
    gather,
    neighbours_of,
    probe_recipe,
    profile_facts,
)
from dppa_core.tuning.search.scoring import single_recipe
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MATH, LAW = (DomainModel(f"zoo:{name}", (0.9, 0.8), (1.2, 1.0), 0.5) for name in ("math", "law"))
RECIPE = MergeRecipe("zoo:base", (MATH, LAW))
MATH_WHOLE, LAW_WHOLE = (DomainModel(f"zoo:{name}") for name in ("math", "law"))


class ByHand(Examiner):
    """Has each model's right answers of ten items; records the exams."""

    def __init__(self, right: dict[str, int]) -> None:
        super().__init__()
        self.right, self.exams = right, list[Exam]()

    @property
    def targets(self) -> list[Target]:
        return [exam.target for exam in self.exams]

    def marks(self, exam: Exam, **_: object) -> Marks:
        self.exams.append(exam)
        target = exam.target
        name = target if isinstance(target, str) else f"{target.method} {len(target.models)}"
        right = self.right[name]
        return Marks((True,) * right + (False,) * (10 - right), (1.0,) * 10, (1,) * 10)


def hand() -> ByHand:
    right = {"zoo:base": 1, "zoo:math": 10, "zoo:law": 8, "dare 1": 6, "dppa 1": 9, "dppa 2": 7}
    return ByHand({**right, "magnitude 1": 5})


def test_figures_are_counts_divided_by_the_models_own(zoo_env: Path) -> None:
    math, law = gather(RECIPE, hand())
    assert math.probe and law.probe and math.treated and law.treated
    assert (math.probe.base, math.probe.own, math.probe.n) == (0.1, 1.0, 10)
    assert [draw.value for draw in math.probe.draws] == pytest.approx([0.6] * 3)
    assert [draw.value for draw in law.probe.draws] == pytest.approx([0.75] * 3)
    assert math.probe.magnitude and math.probe.magnitude.value == pytest.approx(0.5)
    assert math.treated.alone and math.treated.merged and math.treated.neighbours
    assert (math.treated.alone.value, math.treated.merged.value) == pytest.approx((0.9, 0.7))
    factors = [neighbour.factors for neighbour in math.treated.neighbours]
    assert factors == [(1.1, 1.0), (1.3, 1.0), (1.2, 0.9), (1.2, 1.1)]
    assert {(neighbour.retention, neighbour.p) for neighbour in math.treated.neighbours} == {
        (0.9, 1.0)
    }


def test_it_asks_three_draws_of_dare_and_each_model_alone_at_coefficient_one(
    zoo_env: Path,
) -> None:
    examiner = hand()
    reports: list[tuple[int, int]] = []
    gather(RECIPE, examiner, progress=lambda exams, total, text: reports.append((exams, total)))
    merges = [merge for merge in examiner.targets if isinstance(merge, MergeRecipe)]
    dare = [
        merge for merge in merges if merge.method == "dare" and merge.models[0].model == "zoo:math"
    ]
    assert [merge.seed for merge in dare] == [0, 1, 2]
    assert {(merge.models[0].levels, merge.parameters["other_tensors"]) for merge in dare} == {
        ((0.9,), "keep")
    }
    alone = [merge for merge in merges if merge.method == "dppa" and len(merge.models) == 1]
    assert len(alone) == 2 * 5 and {merge.models[0].coefficient for merge in alone} == {1.0}
    assert len(examiner.targets) == reports[-1][1] == reports[-1][0] + 1


def test_neighbours_can_be_left_out_and_other_methods_have_none(zoo_env: Path) -> None:
    examiner = hand()
    math, _ = gather(RECIPE, examiner, neighbours=False)
    assert math.treated and math.treated.neighbours is None
    plain = gather(replace(RECIPE, method="magnitude", parameters={}), hand())
    assert [facts.treated for facts in plain] == [None, None]


def test_a_model_that_has_nothing_right_is_not_probed(zoo_env: Path) -> None:
    examiner = hand()
    examiner.right["zoo:math"] = 0
    math, _ = gather(RECIPE, examiner)
    assert math.probe and not math.probe.draws and math.treated and math.treated.alone is None


def test_the_test_split_stays_unseen(zoo_env: Path) -> None:
    examiner = hand()
    gather(RECIPE, examiner, limit=10)
    assert {(exam.split, exam.limit) for exam in examiner.exams} == {("search", 10)}


def test_factors_stay_in_the_range_of_the_climb() -> None:
    assert neighbours_of((0.0, 4.0)) == ((0.1, 4.0), (0.0, 3.9))
    assert neighbours_of((9.0,)) == ((8.9,),)


def test_a_model_alone_leaves_out_what_combines_models() -> None:
    ties = replace(
        *(RECIPE,),
        method="ties",
        parameters={},
        prune=Pruning("dppa", {"strength": 0.02}),
        chat_template="zoo:law",
    )
    single = single_recipe(ties, MATH)
    assert (single.method, single.parameters["strength"], single.prune) == ("dppa", 0.02, None)
    assert single.chat_template == "auto"
    assert single_recipe(ties, LAW).chat_template == "zoo:law"
    emr = replace(
        RECIPE, method="emr", parameters={"domain": "zoo:law"}, models=(MATH_WHOLE, LAW_WHOLE)
    )
    assert single_recipe(emr, MATH_WHOLE).parameters["domain"] == "zoo:math"
    assert probe_recipe(ties, MATH, "dare", 2).models == (DomainModel("zoo:math", (0.9,)),)


def test_the_profile_agrees_with_the_weights(
    zoo_env: Path,
) -> None:
    profile = cached_profile("zoo:base", "zoo:math")
    names = [module.module.tensor for module in profile.modules]
    weights, tuned = (
        np.concatenate([read[name].double().numpy().ravel() for name in names])
        for read in (load_file(zoo_env / name / "model.safetensors") for name in ("base", "math"))
    )
    deltas = tuned - weights
    facts = profile_facts(profile)
    assert facts.relative_change == pytest.approx(
        np.linalg.norm(deltas) / np.linalg.norm(weights), rel=1e-5
    )
    assert facts.mean_magnitude == pytest.approx(np.abs(deltas).mean(), rel=1e-5)
    assert facts.outside == pytest.approx((np.abs(deltas) > 0.002).mean(), abs=1e-3)
    assert facts.zeros == pytest.approx((deltas == 0).mean())
    assert facts.significance[0] <= facts.significance[1] <= facts.significance[2]


def test_the_command_tells_of_every_model_and_sign(dppa: Command, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(RECIPE))
    assert dppa("advise", path, "--limit", 2, "--json") == 0
    value = dppa.json
    assert [entry["model"] for entry in value["models"]] == ["zoo:math", "zoo:law"]
    assert value["facts"][0]["probe"]["n"] == 2 and value["facts"][1]["treated"]["rate"] == 0.8
    assert [entry["model"] for entry in value["signs"]] == [
        *("zoo:math", "zoo:math", "zoo:law", "zoo:law", "")
    ]
    assert dppa("advise", path, "--limit", 2) == 0
    assert "failure signs of the recipe:" in dppa.out and not dppa.err


def test_base_and_models_are_enough_and_unknown_domains_are_only_profiled(
    dppa: Command, tiny_zoo: Path
) -> None:
    assert dppa("advise", "zoo:base", tiny_zoo / "law") == 0
    first, second = dppa.out.splitlines()[:2]
    assert first.startswith(f"{tiny_zoo / 'law'}: ") and first.endswith("(by the profile)")
    assert "no probe" in second and "signs" not in dppa.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Usage"),
        (["zoo:base"], 2, "the base and then at least one"),
        (["a.yaml", "b.yaml"], 2, "one recipe"),
        (["nowhere.yaml"], 1, "nowhere.yaml: cannot be read"),
        (["zoo:base", "zoo:maht"], 1, "Did you mean 'zoo:math'"),
        (["zoo:base", "zoo:math", "--tasks", ","], 1, "--tasks names no domain"),
        (["zoo:base", "zoo:math", "--tasks", "maths"], 1, "Did you mean 'math'"),
        (["zoo:base", "zoo:math", "--tasks", "math,law"], 1, "1 domain model"),
    ],
)
def test_what_is_not_known_is_named(
    dppa: Command, arguments: list[str], code: int, message: str
) -> None:
    assert dppa("advise", *arguments) == code
    assert message in dppa.err and not dppa.out
