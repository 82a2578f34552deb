"""Merged folders: the same bytes every time, and transformers loads them."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.errors import Cancelled, DamagedCheckpoint, IncompatibleCheckpoints, NotAllowed
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.pruning.coefficients import PartCoefficient
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, load_recipe
from dppa_core.system import regular_files
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

MODELS = (
    DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0), 0.6),
    DomainModel("zoo:finance", (0.8,), (1.0,), {0: 0.3, 1: 0.5}),
    DomainModel("zoo:law", (0.7,), (1.2,), 0.4),
)


def recipe(method: str = "dppa", **rest: object) -> MergeRecipe:
    models = MODELS
    if method == "dare":
        models = tuple(DomainModel(m.model, m.levels[-1:], (1.0,), m.coefficient) for m in MODELS)
    if method == "task_arithmetic":
        models = tuple(DomainModel(m.model, coefficient=m.coefficient) for m in MODELS)
    return MergeRecipe("zoo:base", models, method, **rest)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.cases(5)
@pytest.mark.parametrize("method", ["dppa", "magnitude", "dare", "task_arithmetic"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_same_recipe_gives_the_same_bytes(
    zoo_env: Path, tmp_path: Path, method: str, dtype: str
) -> None:
    merge = recipe(method, dtype=dtype)
    reports = [
        merge_to_folder(merge, tmp_path / "one"),
        merge_to_folder(merge, tmp_path / "two"),
        merge_to_folder(merge, tmp_path / "three", backend="torch"),
    ]
    first = contents(tmp_path / "one")
    assert first == contents(tmp_path / "two") == contents(tmp_path / "three")
    assert len({report.sha256 for report in reports}) == 1
    of_others = [warning for warning in reports[0].warnings if "times as large" not in warning]
    assert not of_others  # tiny models are trained hard


def test_pruning_other_tensors_gives_the_same_bytes_on_both_backends(
    zoo_env: Path, tmp_path: Path
) -> None:
    merge = recipe(parameters={"other_tensors": "prune"})
    report = merge_to_folder(merge, tmp_path / "one")
    assert report.sha256 == merge_to_folder(merge, tmp_path / "two", backend="torch").sha256


def test_transformers_loads_the_folder(
    zoo_env: Path, tmp_path: Path, one_torch_thread: None
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 (heavy)

    merge_to_folder(recipe(), tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert str(model.dtype) == "torch.bfloat16"
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1 + 1"}], return_tensors="pt", add_generation_prompt=True
    )
    assert model.generate(**ids, max_new_tokens=2).shape[0] == 1
    written = SafetensorsCheckpoint(tmp_path / "out")
    for name, parameter in model.state_dict().items():
        if name != "lm_head.weight":  # tied: absent on disk, as in the base
            values = to_float32(written.raw(name), written.dtype(name))
            np.testing.assert_array_equal(parameter.float().numpy().ravel(), values)
    assert "lm_head.weight" not in written.names()


def test_the_folder_holds_its_recipe_and_a_card(zoo_env: Path, tmp_path: Path) -> None:
    report = merge_to_folder(recipe(), tmp_path / "out")
    assert load_recipe(tmp_path / "out" / "recipe.yaml") == recipe()
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert card.startswith("---\n") and report.recipe_hash[:12] in card and "zoo:finance" in card
    assert (tmp_path / "out" / "tokenizer.json").is_file()
    assert report.densities == pytest.approx((0.2, 0.2, 0.3), abs=1e-3)


@pytest.fixture
def wide(tmp_path: Path) -> MergeRecipe:
    """A merge of two models in float32, the delta small beside the weights."""
    base = random_llama(0)
    base.save(tmp_path / "base", dtype="F32")
    tuned_llama(base, 1, 0.0002).save(tmp_path / "math", dtype="F32")
    return MergeRecipe(
        str(tmp_path / "base"), (DomainModel(str(tmp_path / "math")),), "task_arithmetic"
    )


def test_without_a_dtype_a_merge_has_its_bases(wide: MergeRecipe, tmp_path: Path) -> None:
    report = merge_to_folder(wide, tmp_path / "out")
    merged, tuned = (SafetensorsCheckpoint(tmp_path / name) for name in ("out", "math"))
    for name in merged.names():
        assert merged.dtype(name) == "F32", name
        np.testing.assert_allclose(merged.raw(name), tuned.raw(name), atol=1e-8)
    assert load_recipe(tmp_path / "out" / "recipe.yaml").dtype == "float32"
    assert merged.config["dtype"] == "float32" and report.rounding is None


def test_what_rounding_takes_of_a_delta_is_reported(wide: MergeRecipe, tmp_path: Path) -> None:
    report = merge_to_folder(replace(wide, dtype="bfloat16"), tmp_path / "out")
    merged, base, tuned = (
        SafetensorsCheckpoint(tmp_path / name) for name in ("out", "base", "math")
    )
    error = delta = 0.0
    for name in merged.names():
        exact = tuned.raw(name).astype(np.float64)
        error += float(np.square(to_float32(merged.raw(name), "BF16") - exact).sum())
        delta += float(np.square(exact - base.raw(name)).sum())
    assert report.rounding == pytest.approx((error / delta) ** 0.5, rel=0.02)
    (warning,) = (line for line in report.warnings if "Rounding to bfloat16" in line)
    assert "of ‖d‖" in warning and "`dtype: float32`" in warning


def test_sharding_does_not_change_the_merge(tmp_path: Path) -> None:
    base = random_llama(0)
    for shards in (1, 3):
        base.save(tmp_path / str(shards) / "base", shards=shards)
        tuned_llama(base, 1).save(tmp_path / str(shards) / "math", shards=shards)
    merged = [
        open_merger(
            MergeRecipe(
                str(tmp_path / shards / "base"),
                (DomainModel(str(tmp_path / shards / "math"), (0.8,)),),
            )
        )
        for shards in ("1", "3")
    ]
    for name in merged[0].names():
        assert merged[0].tensor(name)[2].tobytes() == merged[1].tensor(name)[2].tobytes()


def test_tensors_may_be_merged_in_any_order(zoo_env: Path) -> None:
    first, second = open_merger(recipe("dare")), open_merger(recipe("dare"))
    forth = {name: first.tensor(name)[2].tobytes() for name in first.names()}
    back = {name: second.tensor(name)[2].tobytes() for name in reversed(second.names())}
    assert forth == back


def test_rate_zero_and_coefficient_one_give_the_domain_model_back(tmp_path: Path) -> None:
    base = random_llama(0)
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    copied = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "math")),))
    merger, math = open_merger(copied), SafetensorsCheckpoint(tmp_path / "math")
    for name in merger.names():
        assert merger.tensor(name)[2].tobytes() == math.raw(name).tobytes()


def test_coefficients_by_layer(zoo_env: Path) -> None:
    """Layers by their own number, an unnamed layer by 1, the rest by the mean over layers."""
    by_layer = DomainModel("zoo:math", coefficient={0: 0.5})
    merger = open_merger(MergeRecipe("zoo:base", (by_layer,), dtype="float32"))
    math = SafetensorsCheckpoint(zoo_env / "math")
    expected = {
        "model.layers.0.mlp.up_proj.weight": 0.5,
        "model.layers.1.mlp.up_proj.weight": 1.0,
        "model.embed_tokens.weight": 0.75,
    }
    for name, coefficient in expected.items():
        base = to_float32(merger.base.raw(name), "BF16")
        delta = to_float32(math.raw(name), "BF16") - base
        np.testing.assert_array_equal(
            merger.tensor(name)[2], base + np.float32(coefficient) * delta
        )


def test_parts_of_a_model_have_coefficients_of_their_own(zoo_env: Path) -> None:
    parts = (
        PartCoefficient("mlp", {0: 0.5, 1: 0.25}),
        PartCoefficient("q_proj", -1.0),
        PartCoefficient(None, 0.0),
    )
    model = DomainModel("zoo:math", coefficient=parts)
    merger = open_merger(MergeRecipe("zoo:base", (model,), "task_arithmetic", dtype="float32"))
    math = SafetensorsCheckpoint(zoo_env / "math")
    expected = {
        "model.layers.0.mlp.up_proj.weight": 0.5,
        "model.layers.1.mlp.up_proj.weight": 0.25,
        "model.layers.1.self_attn.q_proj.weight": -1.0,
        "model.layers.1.self_attn.k_proj.weight": 0.0,
        "model.embed_tokens.weight": 0.0,
    }
    for name, coefficient in expected.items():
        base = to_float32(merger.base.raw(name), "BF16")
        delta = to_float32(math.raw(name), "BF16") - base
        np.testing.assert_array_equal(
            merger.tensor(name)[2], base + np.float32(coefficient) * delta
        )


def test_a_coefficient_for_a_layer_there_is_not_is_refused(zoo_env: Path) -> None:
    with pytest.raises(IncompatibleCheckpoints, match="layer 7, the base has layers 0 to 1"):
        open_merger(MergeRecipe("zoo:base", (DomainModel("zoo:math", coefficient={7: 1.0}),)))


def test_a_result_identical_to_the_base_is_said_to_be(zoo_env: Path, tmp_path: Path) -> None:
    nothing = MergeRecipe("zoo:base", (DomainModel("zoo:math", coefficient=0.0),))
    report = merge_to_folder(nothing, tmp_path / "out")
    assert "identical to the base" in report.warnings[0]
    base = SafetensorsCheckpoint(zoo_env / "base")
    out = SafetensorsCheckpoint(tmp_path / "out")
    assert all(base.raw(n).tobytes() == out.raw(n).tobytes() for n in base.names())


def test_an_untied_head_is_merged_as_any_tensor(tmp_path: Path) -> None:
    base = random_llama(0, Shape(tied=False))
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    large = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "math")),))
    merge_to_folder(large, tmp_path / "out")
    assert "lm_head.weight" in SafetensorsCheckpoint(tmp_path / "out").names()


def test_stopping_leaves_nothing_behind(zoo_env: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def progress(count: int, total: int, text: str) -> None:
        if count == 3 and text.startswith("model."):
            stop.set()

    with pytest.raises(Cancelled):
        merge_to_folder(recipe(), tmp_path / "out", progress=progress, stop=stop)
    assert not list(tmp_path.iterdir())


def test_a_public_merge_reads_no_folders(zoo_env: Path) -> None:
    with pytest.raises(NotAllowed, match="public page"):
        open_merger(MergeRecipe(str(zoo_env / "base"), MODELS), public=True)


def test_a_tokenizer_that_cannot_be_read_is_named(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = regular_files._open

    def opened(path: str, flags: int, *, follow: bool) -> int:
        if path.endswith("tokenizer.json"):
            raise PermissionError(13, "Permission denied")
        return whole(path, flags, follow=follow)

    monkeypatch.setattr(regular_files, "_open", opened)
    with pytest.raises(DamagedCheckpoint, match=r"tokenizer\.json: cannot be read \(Permission"):
        merge_to_folder(recipe(), tmp_path / "out")
    assert not list(tmp_path.iterdir())
