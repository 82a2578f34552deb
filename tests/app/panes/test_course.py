"""The course of a training run without a browser: its numbers, what it takes over, who may ask."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from components.page.workbench import build_page
from components.session.state import session_from_state
from components.views.score.course import course_value, read_course, taken_window
from components.work.kinds import SEARCH
from components.work.progress_stream import stream_growing
from components.work.studio import Studio
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import Cancelled, InvalidValue, MissingCheckpoint, NotAllowed
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.tuning.training_run import mean_of, saved_in
from tests.helpers.tiny_models import random_llama, save_tokenizer, tuned_llama

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TEXT = "Tom has 12 apples and buys 5 more. " * 8


@pytest.fixture
def run(tmp_path: Path) -> Path:
    base, folder = random_llama(0), tmp_path / "run"
    for seed, step in enumerate((10, 20, 40)):
        save_tokenizer(
            tuned_llama(base, seed, 0.02).save(folder / f"checkpoint-{step}", dtype="F32")
        )
    return folder


def test_every_loss_is_that_of_the_model_or_the_mean(studio: Studio, run: Path) -> None:
    request = read_course(str(run), TEXT, "exponential", 10, public=False)
    *running, last = stream_growing(studio, SEARCH, partial(course_value, request, studio))
    assert {value["state"] for value in running} == {"running"} and last["state"] == "done", last
    alone, means = last["result"]["chart"]["series"]
    assert alone["x"] == means["x"] == (10, 20, 40)
    saved = saved_in(run)
    windows = [mean_of(saved[-count:], "exponential", 10) for count in (3, 2)]
    targets = [str(one.folder) for one in saved]
    expected = [
        perplexity(studio.pool().get(one), TEXT.strip()).loss.value for one in [*targets, *windows]
    ]
    assert [*alone["y"], *means["y"][:2]] == pytest.approx(expected)
    assert means["y"][-1] == alone["y"][-1]
    best = last["result"]["best"]
    assert means["y"][-best] == min(means["y"])
    assert last["result"]["steps"] == [10, 20, 40]
    assert last["result"]["command"].endswith(" --weights exponential --half-life 10 --last ")


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("schedule", "half_life"), [("equal", None), ("exponential", 10)])
def test_what_is_taken_over_is_the_mean(
    run: Path, tmp_path: Path, count: int, schedule: str, half_life: float | None
) -> None:
    saved = saved_in(run)
    state = taken_window(saved, count, schedule, half_life)
    merge_to_folder(session_from_state(state).recipe(), tmp_path / "taken", sync=False)
    taken = SafetensorsCheckpoint(tmp_path / "taken")
    every = [SafetensorsCheckpoint(one.folder) for one in saved[-count:]]
    weights = [1.0, 1.0, 1.0] if schedule == "equal" else [1 / 8, 1 / 4, 1]
    for name in taken.names():
        mean = np.average([one.raw(name) for one in every], axis=0, weights=weights[-count:])
        np.testing.assert_allclose(taken.raw(name), mean, atol=1e-6)


def test_a_window_longer_than_the_list_of_models_is_not_taken_over(run: Path) -> None:
    (one, *_) = saved_in(run)
    long = [type(one)(step, Path(f"checkpoint-{step}")) for step in range(7)]
    assert taken_window(long, 6, "equal", None) and taken_window(long, 7, "equal", None) is None
    assert taken_window(long[:1], 1, "equal", None) is None


def test_a_cancel_keeps_what_was_measured(studio: Studio, run: Path) -> None:
    request, stop = read_course(str(run), TEXT, "equal", None, public=False), threading.Event()
    results: list[dict[str, Any]] = []

    def show(result: dict[str, Any]) -> None:
        results.append(result)
        if len(results) == 4:
            stop.set()

    with pytest.raises(Cancelled):
        course_value(request, studio, lambda *step: None, show, stop)
    assert [len(one["takes"]) for one in results] == [0, 0, 1, 2]
    title = "1 of 3 checkpoints are measured"
    assert results[0]["chart"]["title"] == title and not results[0]["best"]


def test_what_a_browser_sends_is_checked(run: Path, tmp_path: Path) -> None:
    def asked(
        folder: object = str(run), text: object = TEXT, schedule: object = "equal", half: Any = 200
    ) -> object:
        return read_course(folder, text, schedule, half, public=False)

    for wrong, words in (
        ({"folder": " "}, "There is no folder yet"),
        ({"folder": None}, "There is no folder yet"),
        ({"text": ""}, "There is no text yet"),
        ({"schedule": "ema"}, "weights must be equal"),
        ({"schedule": "exponential", "half": None}, "need a half-life"),
        ({"schedule": "exponential", "half": 0}, "half-life must be a number"),
    ):
        with pytest.raises(InvalidValue, match=words):
            asked(**wrong)
    with pytest.raises(MissingCheckpoint, match="none: no such folder"):
        asked(str(tmp_path / "none"))
    (run / "checkpoint-40" / "model.safetensors").unlink()
    with pytest.raises(MissingCheckpoint, match="checkpoint-40: neither model"):
        asked()


def test_a_page_of_strangers_reads_no_folder(run: Path, page: gr.Blocks, zoo_env: Path) -> None:
    with pytest.raises(NotAllowed, match="reads no folders"):
        read_course(str(run), TEXT, "equal", None, public=True)
    strangers = build_page(Studio(public=True))
    for blocks, built in ((page, True), (strangers, False)):
        names = [str(block.elem_id) for block in blocks.blocks.values()]
        assert any(name.startswith("course") for name in names) == built
