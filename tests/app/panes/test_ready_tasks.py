"""Ready tasks on the page, without a browser: checks, limits, what a public page offers, rows."""

import json
import threading
from pathlib import Path
from typing import Any

import datasets
import pytest

from components.page.workbench import build_page
from components.server.settings import read_settings
from components.session.presets import first_session
from components.views.score.ready_tasks import (
    LONGEST,
    OWN_ITEMS,
    PUBLIC_ITEMS,
    TaskOffer,
    read_tasks,
    tasks_asked,
)
from components.work.progress_stream import stream_run
from components.work.studio import Studio
from dppa_core.errors import Cancelled, DppaError, InvalidValue, NotAllowed
from dppa_core.recipes.yaml_text import recipe_hash

ROOT = Path(__file__).parents[3]
SESSION = first_session()
OFFER = TaskOffer(folder=ROOT / "tests" / "harness")
PUBLIC = TaskOffer(("dppa_sums",), ROOT / "tests" / "harness")
pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "zoo_env"),
    pytest.mark.filterwarnings("ignore"),  # the package and what it imports warn of their old parts
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)


@pytest.mark.parametrize(
    ("text", "number", "offer", "says"),
    [
        (" , ", 20, OFFER, "There is no task yet"),
        (None, 20, OFFER, "There is no task yet"),
        ("a, b, c, d, e, f", 20, OFFER, "At most 5 tasks in 400 characters"),
        ("a " * LONGEST, 20, OFFER, "At most 5 tasks in 400 characters"),
        ("dppa_sums", OWN_ITEMS + 5, OFFER, "Questions must be a number from 5 to"),
        ("dppa_sums", PUBLIC_ITEMS + 5, PUBLIC, "Questions must be a number from 5 to"),
        ("gsm8k", 20, PUBLIC, "does not ask the task 'gsm8k'; it offers dppa_sums"),
    ],
)
def test_what_a_browser_sends_is_checked(
    text: object, number: Any, offer: TaskOffer, says: str
) -> None:
    with pytest.raises(DppaError, match=says):
        read_tasks(text, number, None, SESSION, offer)


def test_names_are_separated_by_commas_or_spaces_and_asked_once() -> None:
    asked = read_tasks("b, a;b  c", 20, None, SESSION, OFFER)
    assert asked.names == ("b", "a", "c") and asked.recipe == recipe_hash(SESSION.recipe())
    assert asked.tokens == 3 * 20 * 7 * 48


@pytest.mark.parametrize("offer", [OFFER, PUBLIC])
def test_everybody_is_asked_the_same_questions(offer: TaskOffer) -> None:
    studio = Studio(public=offer is PUBLIC)
    asked = read_tasks("dppa_sums", 5, None, SESSION, offer)
    told = list(
        stream_run(studio, "score", lambda *given: tasks_asked(asked, offer, studio, *given))
    )
    assert told[-1]["state"] == "done", told[-1]
    found = json.loads(json.dumps(told[-1]["result"]))
    labels = [row["label"] for row in found["rows"]]
    assert labels == ["merged", "task arithmetic", "linear", "math", "finance", "law", "base"]
    assert [row["model"] for row in found["rows"][:4]] == [None, None, None, "zoo:math"]
    for row in found["rows"]:
        (one,) = row["results"]
        assert (one["task"], one["metric"], one["n"]) == ("dppa_sums", "acc", 5)
        assert one["ci95"][0] <= one["value"] <= one["ci95"][1]


def test_a_task_with_code_is_refused_on_a_public_page_though_it_is_offered(tmp_path: Path) -> None:
    text = (ROOT / "tests/harness/sums.yaml").read_text()
    (tmp_path / "sums.yaml").write_text(
        text.replace("doc_to_target: right", "doc_to_target: !function a.b")
    )
    offer, studio = TaskOffer(("dppa_sums",), tmp_path), Studio(public=True)
    asked = read_tasks("dppa_sums", 5, None, SESSION, offer)
    with pytest.raises(NotAllowed, match="cannot be asked on a public page"):
        tasks_asked(asked, offer, studio, lambda told: None, threading.Event())


def test_asking_can_be_stopped() -> None:
    stop, asked = threading.Event(), read_tasks("dppa_sums", 5, None, SESSION, OFFER)
    stop.set()
    with pytest.raises(Cancelled):
        tasks_asked(asked, OFFER, Studio(public=False), lambda told: None, stop)


def test_without_the_package_the_message_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dppa_core.evaluation.harness_tasks.find_spec", lambda name: None)
    asked = read_tasks("arc_easy", 20, None, SESSION, TaskOffer())
    with pytest.raises(InvalidValue, match=r"pip install '.\[lm-eval\]'"):
        tasks_asked(asked, TaskOffer(), Studio(public=False), lambda told: None, threading.Event())


@pytest.mark.parametrize(
    ("public", "tasks", "info"),
    [
        (False, "", "Names in lm-evaluation-harness, with commas"),
        (True, "", None),
        (True, "fpb, casehold", "This page offers fpb, casehold."),
    ],
)
def test_a_public_page_offers_the_tasks_of_its_setting_alone(
    monkeypatch: pytest.MonkeyPatch, public: bool, tasks: str, info: str | None
) -> None:
    monkeypatch.setenv("DPPA_TASKS", tasks)
    assert read_settings().offered_tasks == tuple(tasks.split(", ") if tasks else ())
    blocks = build_page(Studio(public=public))
    found = [one for one in blocks.blocks.values() if getattr(one, "elem_id", "") == "tasks-text"]
    assert [info in str(one.info) for one in found] == ([] if info is None else [True])
