"""The factors of lab/recipes/joint.yaml, chosen together, keep what lab/docs/search.md says."""

import re
from pathlib import Path

import pytest

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.scoring import geometric_mean, retentions

LAB = Path(__file__).resolve().parents[2] / "lab"


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread")
def test_factors_chosen_together_keep_what_the_page_says() -> None:
    page = " ".join((LAB / "docs" / "search.md").read_text("utf-8").split())
    match = re.search(r"merge keeps ([\d.]+) % \(`dppa evaluate lab/recipes/joint.yaml`", page)
    assert match
    examiner, recipe = Examiner(keep=False), load_recipe(LAB / "recipes" / "joint.yaml")
    scores = {domain: examiner.score(Exam(recipe, domain)) for domain in DOMAINS}
    models = {domain: examiner.score(Exam(f"zoo:{domain}", domain)) for domain in DOMAINS}
    kept = geometric_mean(tuple(retentions(scores, models).values()))
    assert 100 * kept == pytest.approx(float(match[1]), abs=0.051)
