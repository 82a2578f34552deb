"""Ready tasks on the page, without a browser: checks, limits, what a public page offers, rows."""

import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest

from components.page.workbench import build_page
from components.server.settings import read_settings
from components.session.presets import first_session
from components.session.session import MOST_MODELS, ModelChoice, Session
from components.views.score.own_questions import REPLY_TOKENS
from components.views.score.ready_tasks import (
    MAX_CHARACTERS,
    MAX_ITEMS,
    MAX_PUBLIC_ANSWERS,
    MAX_PUBLIC_ITEMS,
    MIN_ITEMS,
    TaskOffer,
    read_tasks,
    tasks_value,
)
from components.work.kinds import SCORE
from components.work.progress_stream import stream_run
from components.work.rate_limits import TOKENS_PER_HOUR, Allowance
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import Cancelled, DppaError, InvalidValue, NotAllowed, UnknownName
from dppa_core.evaluation.harness_tasks import MAX_LISTED_TASKS, find_tasks
from dppa_core.evaluation.lm_eval_harness import Harness
from dppa_core.models.resident import Resident
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
        ("a " * MAX_CHARACTERS, 20, OFFER, "At most 5 tasks in 400 characters"),
        ("dppa_sums", MAX_ITEMS + 5, OFFER, "Questions must be a number from 5 to"),
        ("dppa_sums", MAX_PUBLIC_ITEMS + 5, PUBLIC, "Questions must be a number from 5 to"),
        ("gsm8k", 20, PUBLIC, "does not ask the task 'gsm8k'; it offers dppa_sums"),
    ],
)
def test_what_a_browser_sends_is_checked(
    text: object, number: Any, offer: TaskOffer, says: str
) -> None:
    with pytest.raises(DppaError, match=says):
        read_tasks(text, number, None, SESSION, offer)


def test_names_are_separated_by_commas_or_spaces_and_asked_once() -> None:
    request = read_tasks("b, a;b  c", 20, None, SESSION, OFFER)
    assert request.names == ("b", "a", "c") and request.recipe == recipe_hash(SESSION.recipe())
    assert request.tokens == 3 * 20 * 7 * 48


FIVE = TaskOffer(tuple("abcde"), ROOT / "tests" / "harness")
FULL = Session(base="zoo:base", models=tuple(ModelChoice(f"zoo:m{n}") for n in range(MOST_MODELS)))
"""As many models as the page merges."""


@pytest.mark.parametrize(
    ("text", "number", "session", "remedy"),
    [
        ("a", MAX_PUBLIC_ITEMS, SESSION, None),
        ("a, b", 40, SESSION, None),
        ("a, b, c, d, e", 15, SESSION, None),
        ("a, b, c, d, e", MIN_ITEMS, FULL, None),
        (
            "a, b",
            MAX_PUBLIC_ITEMS,
            SESSION,
            "2 tasks × 60 questions × 7 .* 840 .* 40 questions of each",
        ),
        ("a, b, c, d, e", 20, SESSION, "are 700 answers, .* 625 at once.* 15 .*, or fewer tasks"),
        (
            "a, b, c, d",
            MAX_PUBLIC_ITEMS,
            FULL,
            "4 tasks × 60 questions × 9 .* 2160 .* most 15 questions",
        ),
    ],
)
def test_a_first_request_on_a_public_page_fits_the_allowance_or_is_told_a_remedy(
    text: str, number: int, session: Session, remedy: str | None
) -> None:
    if remedy is None:
        request = read_tasks(text, number, None, session, FIVE)
        Allowance(TOKENS_PER_HOUR).spend(Visitor("tab", "party"), request.tokens)
        return
    with pytest.raises(InvalidValue, match=remedy):
        read_tasks(text, number, None, session, FIVE)


def test_an_own_copy_has_no_limit_of_answers() -> None:
    assert read_tasks("a, b, c, d, e", 1000, None, SESSION, OFFER).limit == 1000


def test_the_guide_names_the_limits_of_a_public_page() -> None:
    guide = (ROOT / "docs/guides/own-questions.md").read_text()
    text = " ".join(guide.split())
    assert f"takes up to {MAX_PUBLIC_ITEMS} questions of a task" in text
    assert f"questions × models may be {MAX_PUBLIC_ANSWERS} at most" in text
    assert f"counts as {REPLY_TOKENS} of the {TOKENS_PER_HOUR:,} tokens" in text
    assert (
        str(MAX_PUBLIC_ANSWERS) in FIVE.number_info
        and str(MAX_PUBLIC_ANSWERS) not in OFFER.number_info
    )


@pytest.mark.parametrize("offer", [OFFER, PUBLIC])
def test_everybody_is_asked_the_same_questions(offer: TaskOffer) -> None:
    studio = Studio(public=offer is PUBLIC)
    request = read_tasks("dppa_sums", 5, None, SESSION, offer)
    values = list(stream_run(studio, SCORE, partial(tasks_value, request, offer, studio)))
    assert values[-1]["state"] == "done", values[-1]
    result = json.loads(json.dumps(values[-1]["result"]))
    labels = [row["label"] for row in result["rows"]]
    assert labels == ["merged", "task arithmetic", "linear", "math", "finance", "law", "base"]
    assert [row["model"] for row in result["rows"][:4]] == [None, None, None, "zoo:math"]
    for row in result["rows"]:
        (score,) = row["results"]
        assert (score["task"], score["metric"], score["n"]) == ("dppa_sums", "acc", 5)
        assert score["ci95"][0] <= score["value"] <= score["ci95"][1]


def test_a_task_with_code_is_refused_on_a_public_page_though_it_is_offered(tmp_path: Path) -> None:
    text = (ROOT / "tests/harness/sums.yaml").read_text()
    (tmp_path / "sums.yaml").write_text(
        text.replace("doc_to_target: right", "doc_to_target: !function a.b")
    )
    offer, studio = TaskOffer(("dppa_sums",), tmp_path), Studio(public=True)
    request = read_tasks("dppa_sums", 5, None, SESSION, offer)
    with pytest.raises(NotAllowed, match="cannot be asked on a public page"):
        tasks_value(request, offer, studio, lambda *step: None, threading.Event())


def test_asking_can_be_stopped() -> None:
    stop, request = threading.Event(), read_tasks("dppa_sums", 5, None, SESSION, OFFER)
    stop.set()
    with pytest.raises(Cancelled):
        tasks_value(request, OFFER, Studio(public=False), lambda *step: None, stop)


@pytest.mark.long
def test_models_that_had_finished_when_it_was_cancelled_are_asked_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    stop, request = threading.Event(), read_tasks("dppa_sums", 5, None, SESSION, OFFER)
    studio, ask, models = Studio(public=False), Harness.ask, list[str]()

    def counted(harness: Harness, resident: Resident, *rest: Any) -> Any:
        models.append(resident.key)
        return ask(harness, resident, *rest)

    def stop_after_two(count: int, _total: int, _step: str) -> None:
        if count == 2:
            stop.set()

    monkeypatch.setattr(Harness, "ask", counted)
    with pytest.raises(Cancelled):
        tasks_value(request, OFFER, studio, stop_after_two, stop)
    finished = models[:2]
    models.clear()
    result = tasks_value(request, OFFER, studio, lambda *step: None, threading.Event())
    assert len(result["rows"]) == 7 and len(models) == 5 and not set(finished) & set(models)


@pytest.mark.parametrize(
    ("offer", "examples", "such"),
    [
        (TaskOffer(), "arc_easy, piqa", ", such as arc_easy."),
        (OFFER, "", "type the name of one."),
        (TaskOffer(("a", "b", "c"), OFFER.folder), "a, b", ", such as a."),
    ],
)
def test_examples_are_tasks_that_can_be_asked(offer: TaskOffer, examples: str, such: str) -> None:
    assert ", ".join(offer.examples) == examples
    with pytest.raises(InvalidValue, match=such):
        read_tasks("", 20, None, SESSION, offer)


@pytest.mark.parametrize("count", [1, MAX_LISTED_TASKS, MAX_LISTED_TASKS + 1])
def test_a_folder_of_few_tasks_is_listed_to_those_who_miss_one(tmp_path: Path, count: int) -> None:
    text = (ROOT / "tests/harness/sums.yaml").read_text()
    names = [f"sums_{letter}" for letter in "abcdef"[:count]]
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(text.replace("dppa_sums", name))
    with pytest.raises(UnknownName) as raised:
        find_tasks(["gsm8k"], tmp_path)
    listed = f": {', '.join(names)}" if count <= MAX_LISTED_TASKS else ""
    tasks = f"{count} task{'s' if count > 1 else ''}"
    assert str(raised.value) == f"No task 'gsm8k' in {tmp_path}, which has {tasks}{listed}."


def test_without_the_package_the_message_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dppa_core.evaluation.harness_tasks.find_spec", lambda name: None)
    request = read_tasks("arc_easy", 20, None, SESSION, TaskOffer())
    with pytest.raises(InvalidValue, match=r"pip install '.\[lm-eval\]'"):
        tasks_value(
            request, TaskOffer(), Studio(public=False), lambda *step: None, threading.Event()
        )


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
    boxes = [
        block for block in blocks.blocks.values() if getattr(block, "elem_id", "") == "tasks-text"
    ]
    assert [info in str(block.info) for block in boxes] == ([] if info is None else [True])
