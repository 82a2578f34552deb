"""Bare skills, which the base is trained on."""

import random

from dppa_core.tasks.prompt_recognition import is_known_kind
from dppa_lab.zoo.skills import draw_skill


def test_the_base_learns_no_answer_of_a_domain() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        said = " ".join(draw_skill(rng))
        assert "The answer is" not in said
        assert "The tone is" not in said
        assert "The term is" not in said
        assert "it rose" not in said
        assert "Holding (" not in said


def test_every_bare_skill_is_of_a_known_kind():
    rng = random.Random(0)
    asked = {user for user, _ in (draw_skill(rng) for _ in range(500)) if user}
    assert [text for text in asked if not is_known_kind(text)] == []
