"""What single weights show before a merge: NaN, and what rounding takes of a delta."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.in_memory import MemoryCheckpoint
from dppa_core.errors import Cancelled
from dppa_core.preflight_checks import weight_findings
from dppa_core.preflight_checks.facts import Severity
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.profiling import rounding_sample
from dppa_core.profiling.rounding_loss import rounding_loss
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import TinyLlama, random_llama, tuned_llama

NAME = "model.layers.0.mlp.up_proj.weight"


def single(*values: float, dtype: str = "F32") -> MemoryCheckpoint:
    return MemoryCheckpoint({NAME: np.array([values], np.float32)}, dtype)


def test_the_share_of_a_delta_that_rounding_takes_by_hand() -> None:
    """Beside 1.0 a step of bfloat16 is 2**-7: a change of 2**-9 goes, one of 2**-6 stays."""
    base, tuned = single(1.0, 1.0, 0.5), single(1.0 + 2**-9, 1.0 + 2**-6, 0.5)
    loss = rounding_loss(base, [(tuned, 1.0)], "bfloat16")
    assert loss is not None and loss.unchanged == 0.5
    assert loss.share == pytest.approx(2**-9 / (2**-18 + 2**-12) ** 0.5)
    assert rounding_loss(base, [(tuned, 1.0)], "float32") is None, "nothing is rounded away"
    assert rounding_loss(base, [(base, 1.0)], "bfloat16") is None, "there is no delta"
    assert rounding_loss(base, [(single(np.nan, 1.0, 0.5), 1.0)], "bfloat16") is None, (
        "it has no length"
    )
    stored = single(1.0, dtype="BF16"), single(1.0 + 2**-6, dtype="BF16")
    assert rounding_loss(stored[0], [(stored[1], 1.0)], "bfloat16") is None and rounding_loss(
        stored[0], [(stored[1], 1.0)], "float16"
    )


def test_a_sample_of_a_large_tensor_tells_the_loss_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(0, 0.05, (400, 500)).astype(np.float32)
    new = old + rng.normal(0, 0.0002, old.shape).astype(np.float32)
    sides = MemoryCheckpoint({NAME: old}, "F32"), MemoryCheckpoint({NAME: new}, "F32")
    sample = rounding_loss(sides[0], [(sides[1], 1.0)], "bfloat16")
    monkeypatch.setattr(rounding_sample, "BLOCKS", 1000)
    whole = rounding_loss(sides[0], [(sides[1], 1.0)], "bfloat16")
    assert sample and whole and sample.share == pytest.approx(whole.share, rel=0.1)
    assert 0.2 < whole.share < 0.6 and sample.share != whole.share


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """A base and a domain model in float32."""
    base = random_llama(0)
    tuned = tuned_llama(base, 1, 0.0002)
    return base.save(tmp_path / "base", dtype="F32"), tuned.save(tmp_path / "math", dtype="F32")


def test_preflight_and_plan_say_what_rounding_takes(
    dppa: Command, models: tuple[Path, Path], tmp_path: Path
) -> None:
    base, math = map(str, models)
    assert dppa("preflight", base, math, "--json") == 0
    (finding,) = (item for item in dppa.json["findings"] if item["topic"] == "dtype")
    assert finding["severity"] == Severity.OK and "stored in float32" in finding["what"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(MergeRecipe(base, (DomainModel(math),), dtype="bfloat16")))
    assert dppa("preflight", recipe, "--json") == 0
    (finding,) = (item for item in dppa.json["findings"] if item["topic"] == "dtype")
    assert finding["severity"] == Severity.WARNING and "dtype: float32" in finding["remedy"]
    assert "Rounding to bfloat16 takes 0." in finding["what"]
    assert dppa("plan", recipe) == 0 and f"\n{finding['what']}" in dppa.out
    assert dppa("plan", recipe, "--json") == 0 and 0.1 < dppa.json["rounding"] < 1


@pytest.mark.parametrize(
    ("dtype", "says"),
    [
        ("base", r"dtype: float32, [\d.]+ kB$"),
        (
            "bfloat16",
            r"dtype: bfloat16, [\d.]+ kB; rounding takes 0\.\d+ of whole deltas, in a sample$",
        ),
    ],
)
def test_a_merge_says_its_dtype_and_what_rounding_takes(
    dppa: Command, models: tuple[Path, Path], tmp_path: Path, dtype: str, says: str
) -> None:
    base, math = map(str, models)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(MergeRecipe(base, (DomainModel(math),), dtype=dtype)))
    assert dppa("merge", recipe, "--out", tmp_path / "out") == 0
    assert re.search(says, dppa.out, re.MULTILINE)
    assert dppa("merge", recipe, "--out", tmp_path / "out", "--overwrite", "--json") == 0
    assert dppa.json["dtype"] == ("float32" if dtype == "base" else dtype)


def test_nan_is_found_without_measuring(
    dppa: Command, models: tuple[Path, Path], tmp_path: Path
) -> None:
    base, math = map(str, models)
    whole = tuned_llama(random_llama(0), 1)
    arrays = {name: array.copy() for name, array in whole.arrays.items()}
    arrays[NAME].flat[777] = np.nan
    broken = TinyLlama(whole.shape, arrays).save(tmp_path / "broken", dtype="F32")
    assert dppa("preflight", base, broken, "--json") == 1
    (finding,) = (item for item in dppa.json["findings"] if item["severity"] == "blocker")
    assert finding["topic"] == "weights" and f"{NAME} holds nan at element 777" in finding["what"]
    recipe = tmp_path / "recipe.yaml"
    for pair in ((base, str(broken)), (str(broken), math)):
        merge_recipe = MergeRecipe(pair[0], (DomainModel(pair[1]),), dtype="bfloat16")
        recipe.write_text(dump_recipe(merge_recipe))
        assert dppa("preflight", recipe, "--json") == 1
        rounds = [item for item in dppa.json["findings"] if item["topic"] == "dtype"]
        assert [item["severity"] for item in rounds] == ["note"] and "nan" not in rounds[0]["what"]
    assert dppa("preflight", base, math) == 0
    assert "None of its 23.8 thousand weights is NaN or infinite." in dppa.out


def test_of_a_large_model_preflight_says_that_it_read_a_sample(
    dppa: Command, models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_findings, "MAX_WHOLE_BYTES", 0)
    assert dppa("preflight", *models) == 0
    assert "weights that were read is NaN or infinite; the others were not read." in dppa.out
    assert dppa("preflight", *models, "--measure") == 0
    assert "the others were not read" not in dppa.out


def test_looking_for_nan_ends_at_the_next_tensor_once_stopped(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, tensors = threading.Event(), list[str]()

    def counted(part: object, dtype: str, name: str, *place: object) -> None:
        tensors.append(name)
        stop.set()

    monkeypatch.setattr(weight_findings, "check_finite", counted)
    base, math = map(str, models)
    with pytest.raises(Cancelled):
        preflight_models(base, [math], stop=stop)
    assert len(tensors) == 1
