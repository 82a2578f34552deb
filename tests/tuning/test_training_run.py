"""Means of a training's last checkpoints: which, how they weigh, and what each window brings."""

from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import InvalidValue, MissingCheckpoint
from dppa_core.evaluation.perplexity import perplexity
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import MergeRecipe, load_recipe
from dppa_core.tuning.training_run import Saved, mean_of, measure_run, saved_in, weights_of
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama, save_tokenizer, tuned_llama

STEPS = (10, 20, 40)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What transformers' trainer leaves: sharded weights, optimizer, states, logs."""
    base, folder = random_llama(0), tmp_path / "run"
    for seed, step in enumerate(STEPS):
        at = tuned_llama(base, seed, 0.05).save(
            folder / f"checkpoint-{step}", dtype="F32", shards=2
        )
        save_tokenizer(at)
        for file in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
            (at / file).write_bytes(b"not read")
        (at / "trainer_state.json").write_text("{}")
    (folder / "checkpoint-50").mkdir()  # was being written
    (folder / "runs").mkdir()
    (folder / "README.md").write_text("")
    return folder


def at(*steps: int) -> list[Saved]:
    return [Saved(step, Path(f"checkpoint-{step}")) for step in steps]


def test_checkpoints_are_found_by_step_and_nothing_else_is(run: Path) -> None:
    (run / "checkpoint-40").rename(run / "checkpoint-100")
    assert [saved.step for saved in saved_in(run)] == [10, 20, 100]
    for folder, words in (
        ("checkpoint-10", "holds no checkpoints of a training"),
        ("none", "no such"),
    ):
        with pytest.raises(MissingCheckpoint, match=words):
            saved_in(run / folder)
    (run / "checkpoint-20").rename(run / "step_100")
    with pytest.raises(InvalidValue, match="are both of step 100"):
        saved_in(run)


def test_schedules_weigh_by_step() -> None:
    assert weights_of(at(10, 20, 40), "equal") == [1, 1, 1]
    assert weights_of(at(10, 20, 30), "linear") == pytest.approx([1 / 3, 2 / 3, 1])
    assert weights_of(at(10, 20, 40), "linear") == pytest.approx([15 / 45, 25 / 45, 1])
    assert weights_of(at(10, 20, 40), "exponential", 10) == pytest.approx([1 / 8, 1 / 4, 1])
    for schedule in ("equal", "linear"):
        assert weights_of(at(7), schedule) == [1]
    with pytest.raises(InvalidValue, match="need a half-life in steps"):
        weights_of(at(1, 2), "exponential")
    with pytest.raises(InvalidValue, match="weights must be equal, linear, exponential, got 'ema'"):
        weights_of(at(1, 2), "ema")
    with pytest.raises(InvalidValue, match="half-life must be a number"):
        weights_of(at(1, 2), "exponential", 0)


def test_a_merge_of_the_recipe_is_the_weighted_mean_of_the_weights(
    run: Path, tmp_path: Path
) -> None:
    recipe = mean_of(saved_in(run), "exponential", 10)
    merge_to_folder(recipe, tmp_path / "out", sync=False)
    merged = SafetensorsCheckpoint(tmp_path / "out")
    every = [SafetensorsCheckpoint(run / f"checkpoint-{step}") for step in STEPS]
    for name in merged.names():
        expected = np.average([one.raw(name) for one in every], axis=0, weights=[1, 2, 8])
        np.testing.assert_allclose(merged.raw(name), expected, atol=1e-6)


def test_the_course_has_every_checkpoint_every_mean_and_the_shortest_best(run: Path) -> None:
    saved, asked = saved_in(run), list[str | MergeRecipe]()

    def score(target: str | MergeRecipe) -> float:
        asked.append(target)
        return [3.0, 2.0, 1.5, 1.0, 1.0][len(asked) - 1]

    course = measure_run(saved, score, measure="loss, nats", rises=False)
    assert asked[:3] == [str(one.folder) for one in saved]
    assert [len(mean.models) for mean in asked[3:] if isinstance(mean, MergeRecipe)] == [2, 3]
    assert course.alone == (3, 2, 1.5) and course.best == (course.windows[1])
    assert [window.value for window in course.windows] == [1.5, 1, 1]
    chart = course.chart()
    assert chart.title == "The mean of the last 2 of 3 checkpoints is best"
    assert course.better_alone is None
    assert chart.series[1].x == (10, 20, 40) and chart.series[1].y == (1, 1, 1.5)
    asked.clear()
    course = measure_run(saved, score, measure="right, %", rises=True)
    assert course.best.checkpoints == 1 and course.better_alone == saved[0]
    assert course.chart().title == "Step 10 alone is best; of the means, that of the last 1"


def test_the_command_measures_a_text_and_writes_the_best_mean(
    run: Path, dppa: Command, tmp_path: Path
) -> None:
    text, out, plot = tmp_path / "text.txt", tmp_path / "mean.yaml", tmp_path / "course.svg"
    text.write_text("Revenue rose to 12 million. " * 8)
    command = ["average", run, "--out", out, "--text", text, "--plot", plot]
    assert dppa(*command, "--json") == 0
    alone = [
        perplexity(
            ModelPool().get(str(run / f"checkpoint-{step}")), text.read_text().strip()
        ).loss.value
        for step in STEPS
    ]
    assert [row["value"] for row in dppa.json["alone"]] == pytest.approx(alone)
    best = dppa.json["best"]
    assert [model.model for model in load_recipe(out).models] == dppa.json["models"]
    assert len(dppa.json["models"]) == best
    values = [row["value"] for row in dppa.json["means"]]
    assert values[best - 1] == min(values) and "<svg" in plot.read_text()
    assert dppa(*command) != 0 and "--overwrite" in dppa.err
    assert dppa(*command, "--overwrite") == 0 and "mean from here on" in dppa.out


def test_the_command_takes_a_number_without_measuring_and_refuses_in_a_line(
    run: Path, dppa: Command, tmp_path: Path
) -> None:
    out = tmp_path / "mean.yaml"
    command = ["average", run, "--out", out]
    for extra, words in (
        ([], "How many of 3 checkpoints? Give --last, or what decides"),
        (["--last", 4], "--last is at most the number of checkpoints, 3"),
        (["--last", 2, "--plot", tmp_path / "a.svg"], "--plot draws what"),
        (["--last", 2, "--weights", "exponential"], "need a half-life"),
        (["--last", 2, "--half-life", 9], "--half-life belongs to --weights exponential"),
        (["--text", "a", "--tasks", "math"], "give one of them"),
    ):
        assert dppa(*command, *extra) == 1 and words in dppa.err and dppa.err.count("\n") == 1
        assert not out.exists()
    assert dppa(*command, "--text", "a", "--plot", tmp_path / "a.png") == 2
    assert "name a file that ends with .svg" in dppa.err
    config = run / "checkpoint-50" / "config.json"
    config.write_bytes((run / "checkpoint-40" / "config.json").read_bytes())
    assert dppa(*command, "--last", 2) == 1 and "checkpoint-50: neither model" in dppa.err
    assert not out.exists()
    config.unlink()
    assert dppa(*command, "--last", 2, "--weights", "linear") == 0
    assert "the mean of the last 2 of 3 checkpoints\nsteps 20, 40; weights 0.5, 1" in dppa.out
