"""The factors of lab/recipes/joint.yaml, chosen together, answer what lab/docs/search.md says."""

import re
from pathlib import Path

import pytest

from dppa_core.evaluation.examiner import Examiner
from dppa_core.recipes.yaml_text import load_recipe
from dppa_core.tasks import DOMAINS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.long
@pytest.mark.usefixtures("one_torch_thread")
def test_factors_chosen_together_answer_what_the_page_says() -> None:
    page = " ".join((DOCS / "search.md").read_text("utf-8").split())
    told = re.search(r"math answers ([\d.]+) %, finance ([\d.]+) %, law ([\d.]+) %", page)
    assert told
    found = Examiner(keep=False).evaluation(load_recipe(DOCS / "joint.yaml"), DOMAINS)
    shares = [100 * found.domains[name].accuracy for name in DOMAINS]
    assert shares == pytest.approx([float(one) for one in told.groups()], abs=0.051)
