"""Delta packs: they restore a one-model merge bit for bit, are small, and are checked."""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dppa_core.checkpoints.adapters.pack_blocks import Draw
from dppa_core.checkpoints.adapters.packs import PackCheckpoint
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import (
    DamagedCheckpoint,
    DppaError,
    IncompatibleCheckpoints,
    InvalidRecipe,
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
    UnknownName,
)
from dppa_core.forms.compression import decompress
from dppa_core.forms.places import decode_places, expected_bytes
from dppa_core.merging.convert import convert_to_folder
from dppa_core.merging.differences import packed as packed_differences
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.preflight_checks.provenance import parent_of
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, parse_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama

LEVELS = ((0.9, 0.8), (1.6, 1.0))
MATH = MergeRecipe("zoo:base", (DomainModel("zoo:math", *LEVELS, 0.7),))
UP = "model.layers.1.mlp.up_proj.weight"


def packed(recipe: MergeRecipe, out: Path, **settings: Any) -> str:
    """The reference of a recipe's first pack."""
    report = pack_models(recipe, out, sync=False, **settings)[0]
    return f"{recipe.base}+{out / report.file}"


def assert_same(recipe: MergeRecipe, reference: str) -> None:
    merger, restored = open_merger(recipe), open_checkpoint(reference)
    assert restored.names() == merger.names()
    for name in merger.names():
        dtype, shape, raw = merger.tensor(name)
        assert (restored.dtype(name), restored.shape(name)) == (dtype, shape)
        assert restored.raw(name).tobytes() == raw.tobytes(), name


def test_a_pack_by_hand(tmp_path: Path) -> None:
    """Of a matrix, the pack holds the two weights that differ: 1.5 is a step above 1.4921875."""
    shape = Shape(layers=1, hidden=32)
    base = random_llama(0, shape)
    name = "model.layers.0.self_attn.q_proj.weight"
    weights, changed = (dict(base.arrays) | {name: np.ones((32, 32), np.float32)} for _ in "ab")
    weights[name][0, 3], changed[name][0, 3], changed[name][31, 31] = 1.4921875, 1.5, 0.5
    TinyLlama(shape, weights).save(tmp_path / "base")
    TinyLlama(shape, changed).save(tmp_path / "tuned")
    recipe = MergeRecipe(
        str(tmp_path / "base"), (DomainModel(str(tmp_path / "tuned")),), "task_arithmetic"
    )
    (report,) = pack_models(recipe, tmp_path / "packs")
    file = open_file(tmp_path / "packs" / "tuned.safetensors")
    assert list(file.tensors) == [f"delta/{name}"]
    raw = file.raw(f"delta/{name}").tobytes()
    checksum, seed, cut, places, values, weight = struct.unpack_from("<IQQIIf", raw)
    assert (seed, cut, weight, len(raw)) == (0, 0, 0, 32 + places + values)
    assert checksum == zlib.crc32(raw[4:32])
    kept = decode_places(raw[32 : 32 + places], 1024, name)
    assert np.flatnonzero(kept).tolist() == [3, 1023]
    steps = decompress(raw[32 + places :], 4, name)
    assert list(steps) == [0, 0, 2, 255], "a step up; 128 down, from 0x3F80 to 0x3F00"
    assert (report.places, report.values, report.stored) == (places, values, 2)
    assert report.header == report.nbytes - places - values


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], str, str, bool]:
    """Values of a recipe of one model, dtypes of base and model, and whether deltas tie."""
    method = draw(st.sampled_from(["dppa", "magnitude", "dare", "task_arithmetic", "ties"]))
    levels, factors = ((0.0,), (1.0,))
    if method == "dare":
        levels = (0.7,)
    if method in ("dppa", "magnitude"):
        levels, factors = draw(st.sampled_from([((0.0,), (1.0,)), ((0.8,), (1.3,)), LEVELS]))
    values = {
        "method": method,
        "model": (levels, factors, draw(st.sampled_from([1.0, 0.6, -0.4]))),
        "dtype": draw(st.sampled_from(["bfloat16", "float16", "float32"])),
        "seed": draw(st.integers(0, 3)),
    }
    dtypes = st.sampled_from(["BF16", "F16", "F32"])
    return values, draw(dtypes), draw(dtypes), draw(st.booleans())


def coarse(model: TinyLlama) -> TinyLlama:
    """The same with few different values, many of them zero, half of those -0."""
    arrays = {name: np.round(weight * 64) / 64 for name, weight in model.arrays.items()}
    return TinyLlama(model.shape, arrays)


@settings(max_examples=16, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), seed=st.integers(0, 99))
def test_base_and_pack_are_the_merged_tensors(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[dict[str, Any], str, str, bool],
    seed: int,
) -> None:
    values, base_dtype, tuned_dtype, ties = case
    folder = tmp_path_factory.mktemp("pack")
    base = random_llama(seed, Shape(layers=1, hidden=16, intermediate=11, tied=seed % 2 == 0))
    tuned = tuned_llama(base, seed + 1)
    if ties:
        base, tuned = coarse(base), coarse(tuned)
    base.save(folder / "base", dtype=base_dtype, shards=1 + seed % 3)
    tuned.save(folder / "tuned", dtype=tuned_dtype)
    model = DomainModel(str(folder / "tuned"), *values.pop("model"))
    recipe = MergeRecipe(str(folder / "base"), (model,), **values)
    assert_same(recipe, packed(recipe, folder / "packs", workers=1 + seed % 2))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_pack_of_the_whole_delta_restores_the_domain_model(
    zoo_env: Path, tmp_path: Path, dtype: str
) -> None:
    recipe = MergeRecipe("zoo:base", (DomainModel("zoo:math"),), "task_arithmetic", dtype=dtype)
    restored = open_checkpoint(packed(recipe, tmp_path / "packs"))
    math = SafetensorsCheckpoint(zoo_env / "math")
    for name in math.names():
        values = to_float32(restored.raw(name), restored.dtype(name))
        np.testing.assert_array_equal(values, to_float32(math.raw(name), math.dtype(name)))


SHAPE = Shape(layers=2, hidden=128, intermediate=352)


def saved(folder: Path, shape: Shape, method: str, rate: float) -> MergeRecipe:
    """A recipe of a random base and a fine-tune of it."""
    base = random_llama(0, shape)
    base.save(folder / "base")
    tuned_llama(base, 1).save(folder / "math")
    return MergeRecipe(
        str(folder / "base"), (DomainModel(str(folder / "math"), (rate,), (1.0,)),), method
    )


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_a_pack_has_the_size_of_its_places_and_values(tmp_path: Path, rate: float) -> None:
    recipe = saved(tmp_path, SHAPE, "magnitude", rate)
    (report,) = pack_models(recipe, tmp_path / "packs")
    merger = open_merger(recipe)
    modules = sum(module.numel for module in merger.plan.modules)
    others = report.numel - modules
    assert report.kept == pytest.approx((1 - rate) * modules + others, rel=1e-3)
    assert 0 < report.stored <= report.kept  # some round to what the base has
    assert report.nbytes == (tmp_path / "packs" / report.file).stat().st_size
    assert report.nbytes == report.places + report.values + report.header
    sizes = [(module.numel * (1 - rate), module.numel) for module in merger.plan.modules]
    most = sum(expected_bytes(round(kept), numel) for kept, numel in sizes) + others / 8
    assert report.places < 1.05 * most
    assert report.values < 0.9 * 2 * report.stored


@pytest.mark.parametrize("method", ["dare", "darex_q"])
def test_drawn_places_are_not_stored(tmp_path: Path, method: str) -> None:
    recipe = saved(tmp_path, SHAPE, method, 0.95)
    recipe = replace(recipe, parameters={"other_tensors": "prune"})
    (report,) = pack_models(recipe, tmp_path / "packs")
    assert report.places == 0 < report.stored <= 0.06 * report.numel
    assert report.values < 0.85 * 2 * report.stored
    assert_same(recipe, f"{recipe.base}+{tmp_path / 'packs' / report.file}")


def test_a_drawn_pack_holds_the_model_s_own_weights(tmp_path: Path) -> None:
    """They are nearer to the base than the merged ones, which are 1 / (1 - rate) as far."""
    bits = {}  # of a weight: how many are drawn depends on the folder's name
    for base_dtype in ("BF16", "F32"):  # of another dtype than the pack's, no merge follows
        folder = tmp_path / base_dtype
        base = random_llama(0, SHAPE)
        base.save(folder / "base", dtype=base_dtype)
        tuned_llama(base, 1).save(folder / "math")
        model = DomainModel(str(folder / "math"), (0.99,))
        recipe = MergeRecipe(str(folder / "base"), (model,), "dare", dtype="bfloat16")
        (report,) = pack_models(recipe, folder / "packs")
        assert_same(recipe, f"{recipe.base}+{folder / 'packs'}")
        assert report.places == 0
        bits[base_dtype] = 8 * report.values / report.stored
    assert bits["BF16"] < 0.92 * bits["F32"]


def test_weights_beside_the_drawn_ones_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A draw that is not the merge's costs bytes, and changes no weight."""
    monkeypatch.setattr(packed_differences, "Draw", lambda *_: Draw(1, 1 << 62))
    for method in ("dare", "magnitude"):
        recipe = saved(tmp_path / method, SHAPE, method, 0.9)
        (report,) = pack_models(recipe, tmp_path / method / "packs")
        assert report.places > 0
        assert_same(recipe, f"{recipe.base}+{tmp_path / method / 'packs'}")


@pytest.mark.long
def test_a_model_drawn_at_99_5_percent_takes_90_bits_for_1000_weights(tmp_path: Path) -> None:
    """A model of 135 million weights then takes 1.5 MB."""
    shape = Shape(layers=2, hidden=768, intermediate=2048, heads=8, vocab=8192)
    recipe = saved(tmp_path, shape, "dare", 0.995)
    (report,) = pack_models(recipe, tmp_path / "packs")
    assert report.nbytes <= 1.5e6 / 134.5e6 * report.numel
    assert_same(recipe, f"{recipe.base}+{tmp_path / 'packs' / report.file}")


def test_packs_of_every_model_merge_to_what_the_recipe_merges(
    zoo_env: Path, tmp_path: Path
) -> None:
    """With factors of 1 and a coefficient of 1 they hold the deltas unrounded."""
    models = tuple(
        DomainModel(f"zoo:{name}", (rate,), (1.0,), 0.4)
        for name, rate in (("math", 0.8), ("finance", 0.7), ("law", 0.9))
    )
    recipe = MergeRecipe("zoo:base", models)
    reports = pack_models(recipe, tmp_path / "packs", coefficient=1)
    assert [report.file for report in reports] == [
        f"{n}.safetensors" for n in ("math", "finance", "law")
    ]
    again = tuple(
        DomainModel(f"zoo:base+{tmp_path / 'packs' / report.file}", coefficient=0.4)
        for report in reports
    )
    merger, packed = (
        open_merger(recipe),
        open_merger(MergeRecipe("zoo:base", again, "task_arithmetic")),
    )
    for name in merger.names():
        first, second = (to_float32(m.tensor(name)[2], "BF16") for m in (merger, packed))
        np.testing.assert_array_equal(first, second)


def test_the_bytes_depend_on_weights_alone(tmp_path: Path) -> None:
    base = random_llama(0, Shape(hidden=64, vocab=40_000))  # an embedding of two slices
    for shards in (1, 3):
        base.save(tmp_path / f"{shards}" / "base", shards=shards)
        tuned_llama(base, 1).save(tmp_path / f"{shards}" / "math", shards=shards)
    hashes = set()
    for shards, workers in ((1, 1), (1, 3), (3, 2)):
        place = tmp_path / f"{shards}"
        recipe = MergeRecipe(str(place / "base"), (DomainModel(str(place / "math"), *LEVELS),))
        out = tmp_path / f"packs-{shards}-{workers}"
        pack_models(recipe, out, workers=workers, sync=False)
        text = (out / "math.safetensors").read_bytes()
        hashes.add(text.replace(f"{place}/".encode(), b"/"))  # the references in its header
    assert len(hashes) == 1
    assert_same(recipe, f"{tmp_path / '1' / 'base'}+{out / 'math.safetensors'}")


def test_a_folder_made_of_base_and_pack_is_the_merge(zoo_env: Path, tmp_path: Path) -> None:
    reference = packed(MATH, tmp_path / "packs")
    converted = convert_to_folder(reference, tmp_path / "converted", sync=False)
    assert converted.files == merge_to_folder(MATH, tmp_path / "merged", sync=False).files


def test_a_pack_of_nothing_is_the_base(zoo_env: Path, tmp_path: Path) -> None:
    nothing = MergeRecipe("zoo:base", (DomainModel("zoo:math", coefficient=0.0),))
    (report,) = pack_models(nothing, tmp_path / "packs")
    assert (report.stored, len(open_file(tmp_path / "packs" / report.file).tensors)) == (0, 0)
    assert_same(nothing, f"zoo:base+{tmp_path / 'packs'}")


def test_the_header_tells_what_is_inside(zoo_env: Path, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(packed(MATH, tmp_path / "packs"))
    assert isinstance(checkpoint, PackCheckpoint)
    assert parse_recipe(checkpoint.header.recipe) == MATH
    assert checkpoint.header.base == "zoo:base"
    assert checkpoint.header.base_hash == known_fingerprint(SafetensorsCheckpoint(zoo_env / "base"))


def test_a_pack_carries_the_licence_of_what_it_is_made_of(tmp_path: Path) -> None:
    base = random_llama(0)
    for name, licence in (("base", "mit"), ("math", "llama2")):
        tuned_llama(base, len(name)).save(tmp_path / name)
        (tmp_path / name / "README.md").write_text(f"---\nlicense: {licence}\n---\n", "utf-8")
    recipe = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "math")),))
    packed(recipe, tmp_path / "packs")
    parent = parent_of("x", tmp_path / "packs" / "math.safetensors")
    assert (parent.licence, parent.made_of) == ("llama2", (str(tmp_path / "math"),))


def test_another_base_is_refused(zoo_env: Path, tmp_path: Path) -> None:
    reference = packed(MATH, tmp_path / "packs")
    pack = reference.partition("+")[2]
    with pytest.raises(IncompatibleCheckpoints, match="made on zoo:base with weights"):
        open_checkpoint(f"zoo:law+{pack}")


def test_a_folder_of_one_pack_names_it(zoo_env: Path, tmp_path: Path) -> None:
    packed(MATH, tmp_path / "packs")
    assert_same(MATH, f"zoo:base+{tmp_path / 'packs'}")
    both = MergeRecipe("zoo:base", (DomainModel("zoo:math"), DomainModel("zoo:law")))
    packed(both, tmp_path / "two")
    with pytest.raises(InvalidValue, match=r"holds 2 packs \(law.safetensors, math.safetensors\)"):
        open_checkpoint(f"zoo:base+{tmp_path / 'two'}")


def test_models_of_one_name_get_packs_of_their_own(tmp_path: Path) -> None:
    base = random_llama(0)
    for owner in ("a", "b"):
        tuned_llama(base, 1).save(tmp_path / owner / "math")
    base.save(tmp_path / "base")
    models = tuple(DomainModel(str(tmp_path / owner / "math")) for owner in ("a", "b"))
    reports = pack_models(MergeRecipe(str(tmp_path / "base"), models), tmp_path / "packs")
    assert [report.file for report in reports] == ["math.safetensors", "math-2.safetensors"]


@pytest.mark.parametrize("text, error, message", [
    ("zoo:base+packs/none.safetensors", MissingCheckpoint, "no such file. `dppa pack` writes"),
    ("{packs}/math.safetensors", InvalidValue, "a file, not a model.* behind its base"),
    ("zoo:base+{zoo}/math/model.safetensors", DamagedCheckpoint, "not a delta pack"),
])  # fmt: skip
def test_what_is_no_pack_on_a_base_is_told(
    zoo_env: Path, tmp_path: Path, text: str, error: type[DppaError], message: str
) -> None:
    packed(MATH, tmp_path / "packs")
    with pytest.raises(error, match=message):
        open_checkpoint(text.format(packs=tmp_path / "packs", zoo=zoo_env))


def test_strangers_put_no_packs_on_a_base(zoo_env: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        open_checkpoint(packed(MATH, tmp_path / "packs"), public=True)


def test_a_method_that_combines_has_no_part_of_one_model(zoo_env: Path, tmp_path: Path) -> None:
    models = (DomainModel("zoo:math"), DomainModel("zoo:law"))
    with pytest.raises(InvalidRecipe, match="ties makes one delta of all models"):
        pack_models(MergeRecipe("zoo:base", models, "ties"), tmp_path / "packs")
    assert not (tmp_path / "packs").exists()


def test_a_pack_has_the_vocabulary_of_its_base(zoo_env: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="vocabulary: union: a pack is laid over the base"):
        pack_models(replace(MATH, vocabulary="union"), tmp_path / "packs")
    both = MergeRecipe("zoo:base", (*MATH.models, DomainModel("zoo:law")), chat_template="zoo:law")
    assert len(pack_models(both, tmp_path / "packs")) == 2


def test_a_failure_leaves_nothing(
    zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed_differences, "encode_block", full)
    with pytest.raises(InvalidValue, match="the disk is full"):
        pack_models(MATH, tmp_path / "packs")
    assert not list(tmp_path.iterdir())


def test_only_packs_are_replaced(zoo_env: Path, tmp_path: Path) -> None:
    packed(MATH, tmp_path / "packs")
    with pytest.raises(InvalidValue, match="already exists"):
        packed(MATH, tmp_path / "packs")
    packed(MATH, tmp_path / "packs", overwrite=True)
    (tmp_path / "packs" / "notes.txt").write_text("mine")
    with pytest.raises(NotAllowed, match="notes.txt, which is no delta pack"):
        packed(MATH, tmp_path / "packs", overwrite=True)
    assert (tmp_path / "packs" / "notes.txt").read_text() == "mine"


def test_a_pack_does_not_overwrite_itself(zoo_env: Path, tmp_path: Path) -> None:
    again = DomainModel(packed(MATH, tmp_path / "packs"))
    with pytest.raises(NotAllowed, match="one of the models to be merged"):
        pack_models(MergeRecipe("zoo:base", (again,)), tmp_path / "packs", overwrite=True)
    assert_same(MATH, f"zoo:base+{tmp_path / 'packs'}")


def test_the_command(dppa: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math, levels: [0.8]}, {model: zoo:law}]\n"
    )
    out = tmp_path / "packs"
    assert dppa("pack", recipe, "--out", out, "--model", "math", "--json") == 0
    (report,) = dppa.json["packs"]
    assert report["reference"] == f"zoo:base+{out / 'math.safetensors'}"
    assert 0 < report["stored"] <= report["kept"] < report["numel"]
    assert dppa("pack", recipe, "--out", out, "--overwrite") == 0
    assert "law.safetensors" in dppa.out and f"as a model: zoo:base+{out}" in dppa.out
    assert dppa("pack", recipe, "--out", tmp_path / "new", "--model", "maths") == 1
    assert "no model of the recipe. Did you mean 'math'?" in dppa.err
    second = tmp_path / "other.yaml"
    text = f"dppa: 1\nbase: zoo:base\nmodels: [{{model: 'zoo:base+{out / 'math.safetensors'}'}}]\n"
    second.write_text(text + "method: task_arithmetic\n")
    assert dppa("merge", second, "--out", tmp_path / "merged") == 0
    card = (tmp_path / "merged" / "README.md").read_text("utf-8")
    assert "# base merged with base+math\n" in card
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["dtype"] == "bfloat16"


def test_an_unknown_model_is_named(zoo_env: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        pack_models(MATH, tmp_path / "packs", model="zoo:law")
