"""The files of living figures."""

import re
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from components.server.living import OPENINGS, FigureLinks, text_files
from components.session.presets import presets
from components.views.see.pinned import opening_answers
from components.work.studio import Studio
from dppa_core.models.reply import GenerationSettings
from scripts.living import FIGURES, ROOT


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    studio = Studio(public=True)
    yield studio
    studio.close()


def test_the_same_files_are_written_each_time(studio: Studio) -> None:
    first = text_files(studio)
    assert first == text_files(Studio(public=True))
    assert {"index.html", "style.css"} < first.keys()


@pytest.mark.parametrize(
    ("words", "leads_to"),
    [
        ("figure=kept&rate=0.9", "living/index.html#ratio=16:9&figure=kept&rate=0.9"),
        ("q=a%26b&figure=answer&ratio=free", "living/index.html#ratio=free&q=a%26b&figure=answer"),
        (
            "__theme=dark&__sign=x&figure=strip&factors=1,2",
            "living/index.html#ratio=16:9&theme=dark&figure=strip&factors=1,2",
        ),
        ("q=a", None),
    ],
)
def test_a_figure_in_the_address_leads_to_the_living_one(words: str, leads_to: str | None) -> None:
    client = TestClient(FigureLinks(Starlette()), follow_redirects=False)
    assert client.get(f"/?{words}").headers.get("location") == leads_to
    assert "location" not in client.get(f"/config?{words}").headers


def test_opening_answers_are_those_of_the_models(studio: Studio) -> None:
    """One question each; `python -m scripts.living --answers` writes all of them."""
    kept = opening_answers()
    targets = {title: presets()[title].recipe() for title in OPENINGS}
    assert kept["merged"].keys() == targets.keys()
    for title, recipe in targets.items():
        question, text = next(iter(kept["merged"][title].items()))
        *_, last = studio.answerer().replies(recipe, question, GenerationSettings(48))
        assert last.text == text


def test_every_figure_of_the_documentation_has_its_address_and_both_pictures() -> None:
    pages = (ROOT / "docs").rglob("*.md")
    named = {
        name
        for page in pages
        for name in re.findall(r"pictures/living-(\w+)-light\.png", page.read_text("utf-8"))
    }
    assert named == FIGURES.keys()
    folder = ROOT / "docs" / "pictures"
    pictures = [folder / f"living-{n}-{theme}.png" for n in named for theme in ("light", "dark")]
    assert [path for path in pictures if not path.exists()] == []
