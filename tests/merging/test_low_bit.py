"""Merges of models of few bits: computed as those of float32, written plain or in the format."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, NonFiniteWeights
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.merging.verify import check_merge
from dppa_core.preflight_checks.preflight_report import preflight_models
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.low_bit_models import FORMS, READ_ONLY, Form, save, unpacked
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama

BASE = random_llama(1, Shape(hidden=40, intermediate=56))
UP = "model.layers.1.mlp.up_proj.weight"
MATH, LAW = tuned_llama(BASE, 2), tuned_llama(BASE, 3)


def values(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor of a folder as float32."""
    checkpoint = FolderCheckpoint(folder)
    return {
        name: to_float32(checkpoint.raw(name), checkpoint.dtype(name)).reshape(
            checkpoint.shape(name)
        )
        for name in checkpoint.names()
    }


def in_float32(root: Path, form: Form, model: TinyLlama, name: str) -> Path:
    """A model as it is after rounding to a format, stored in float32."""
    rounded = unpacked(save(model, root / f"{name}-low", form), form, model)
    return replace(model, arrays=rounded).save(root / f"{name}-wide", dtype="F32")


def recipe(base: Path, *models: Path, method: str = "dppa", **settings: str) -> MergeRecipe:
    parts = tuple(DomainModel(str(model), coefficient=0.5) for model in models)
    return MergeRecipe(str(base), parts, method=method, **settings)


def stored_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def form(request: pytest.FixtureRequest) -> Form:
    return request.param


@pytest.mark.parametrize("method", ["dppa", "ties", "slerp"])
def test_a_merge_is_that_of_the_same_numbers_in_float32(
    tmp_path: Path, form: Form, method: str
) -> None:
    models = (BASE, MATH) if method == "slerp" else (BASE, MATH, LAW)
    names = ("base", "math", "law")[: len(models)]
    wide = [in_float32(tmp_path, form, m, n) for m, n in zip(models, names, strict=True)]
    few = [tmp_path / f"{name}-low" for name in names]
    for folders, out in ((wide, "wide"), (few, "few"), ([wide[0], *few[1:]], "mixed")):
        settings = {"dtype": "float32"}
        merge_to_folder(recipe(*folders, method=method, **settings), tmp_path / out, sync=False)
    merged, expected = values(tmp_path / "few"), values(tmp_path / "wide")
    mixed = values(tmp_path / "mixed")
    for name, array in expected.items():
        np.testing.assert_array_equal(merged[name], array)
        np.testing.assert_array_equal(mixed[name], array)


def test_bfloat16_is_written_by_default(tmp_path: Path, form: Form) -> None:
    base, math = save(BASE, tmp_path / "base", form), save(MATH, tmp_path / "math", form)
    report = merge_to_folder(recipe(base, math), tmp_path / "out", sync=False)
    assert report.dtype == "bfloat16" and report.requantised is None
    written = FolderCheckpoint(tmp_path / "out")
    assert written.low_bit is None and {*map(written.dtype, written.names())} == {"BF16"}
    assert "quantization_config" not in json.loads((tmp_path / "out/config.json").read_text())
    assert "requantised" not in json.loads((tmp_path / "out/merge.json").read_text())


def test_the_same_format_comes_out_within_the_stated_error(tmp_path: Path, form: Form) -> None:
    base, math = save(BASE, tmp_path / "base", form), MATH.save(tmp_path / "math")
    merge = recipe(base, math)
    merge_to_folder(replace(merge, dtype="float32"), tmp_path / "exact", sync=False)
    report = merge_to_folder(merge, tmp_path / "out", same_format=True, sync=False)
    exact, rounded = values(tmp_path / "exact"), values(tmp_path / "out")
    assert load_file(tmp_path / "out/model.safetensors").keys() == (
        load_file(base / "model.safetensors").keys()
    )
    squares = []
    for name, share in report.requantised.tensors.items():
        error = np.square(rounded[name] - exact[name], dtype=np.float64).sum()
        square = np.square(exact[name], dtype=np.float64).sum()
        squares.append((error, square))
        assert share == pytest.approx(np.sqrt(error / square), rel=1e-5) and share < 0.2
    total = np.sqrt(sum(error for error, _ in squares) / sum(square for _, square in squares))
    assert report.requantised.error == pytest.approx(total, rel=1e-5)
    written = json.loads((tmp_path / "out/config.json").read_text())
    assert written["quantization_config"] == dict(form.settings)
    check_merge(tmp_path / "out")
    foreign = form.settings["quant_method"] == "modelopt"
    assert any("transformers does not" in line for line in report.warnings) == foreign


def test_a_merge_of_nothing_gives_the_bytes_of_the_base(tmp_path: Path, form: Form) -> None:
    base, math = save(BASE, tmp_path / "base", form), MATH.save(tmp_path / "math")
    nothing = MergeRecipe(
        str(base), (DomainModel(str(math), coefficient=0.0),), method="task_arithmetic"
    )
    merge_to_folder(nothing, tmp_path / "out", same_format=True, sync=False)
    before, after = (load_file(p / "model.safetensors") for p in (base, tmp_path / "out"))
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype and tensor.shape == after[name].shape
        assert stored_bytes(tensor) == stored_bytes(after[name])


def test_the_bytes_are_the_same_for_any_workers_and_slices(
    tmp_path: Path, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, math = save(BASE, tmp_path / "base", form), MATH.save(tmp_path / "math")
    digests = set()
    for number, (workers, size) in enumerate([(1, 1 << 21), (4, 97), (3, 1000)]):
        monkeypatch.setattr("dppa_core.checkpoints.chunks.SLICE", size)
        report = merge_to_folder(
            recipe(base, math),
            tmp_path / f"out{number}",
            same_format=True,
            sync=False,
            workers=workers,
        )
        digests.add((report.sha256, json.dumps(report.requantised.tensors)))
    assert len(digests) == 1


def test_plain_models_have_no_format_to_keep(tmp_path: Path) -> None:
    base, math = BASE.save(tmp_path / "base"), MATH.save(tmp_path / "math")
    with pytest.raises(InvalidValue, match="no model of the recipe is stored in few bits"):
        merge_to_folder(recipe(base, math), tmp_path / "out", same_format=True, sync=False)


def test_commands_take_models_of_few_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(capsys, monkeypatch)
    base, math = save(BASE, tmp_path / "base", FORMS["fp8"]), tmp_path / "math"
    save(MATH, math, FORMS["nvfp4"])
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe(base, math)))
    arguments = {
        "profile": (base, math),
        "plan": (tmp_path / "r.yaml",),
        "diff": (base, math),
        "size": (base, math),
        "pack": (tmp_path / "r.yaml", "--out", tmp_path / "pack"),
        "convert": (base, "--out", tmp_path / "plain"),
    }
    for name, rest in arguments.items():
        assert command(name, *rest) == 0, (name, command.err)
    assert FolderCheckpoint(tmp_path / "plain").dtype(UP) == "BF16"
    out = tmp_path / "out"
    assert command("merge", tmp_path / "r.yaml", "--out", out, "--format", "same") == 0
    assert "dtype: FP8, beside it bfloat16, from compressed-tensors, " in command.out
    assert "kB; rounding took 0.02" in command.out
    assert (
        "of ‖W‖ (most of model.layers." in command.out and " of what the merge adds" in command.out
    )
    card = (out / "README.md").read_text()
    assert "## Rounded to FP8" in card and "--out DIR --format same" in card
    rows = [line for line in card.splitlines() if line.startswith("| `model.layers.")]
    record = json.loads((out / "merge.json").read_text())["requantised"]
    assert len(rows) == 10 and len(record["tensors"]) == 13 and record["format"] == "FP8"
    gguf = ("--format", "same", "--gguf", tmp_path / "merge.gguf")
    assert command("merge", tmp_path / "r.yaml", "--out", out, *gguf) == 2


def test_adapters_and_packs_lie_on_a_base_of_few_bits(tmp_path: Path) -> None:
    base = save(BASE, tmp_path / "base", FORMS["gptq"])
    MATH.save(tmp_path / "math")
    pack_models(recipe(base, tmp_path / "math"), tmp_path / "packs", sync=False)
    (pack,) = (tmp_path / "packs").glob("*.safetensors")
    plain = merge_to_folder(recipe(base, tmp_path / "math"), tmp_path / "whole", sync=False)
    packed = MergeRecipe(
        str(base), (DomainModel(f"{base}+{pack}"),), method="task_arithmetic", dtype=plain.dtype
    )
    report = merge_to_folder(packed, tmp_path / "of-pack", same_format=True, sync=False)
    assert report.requantised is not None and 0 < report.requantised.error < 0.2


def test_bitsandbytes_is_read_and_not_written(tmp_path: Path) -> None:
    for name, form in READ_ONLY.items():
        base, math = save(BASE, tmp_path / name, form), MATH.save(tmp_path / "math")
        merge_to_folder(recipe(base, math), tmp_path / f"{name}-out", sync=False)
        wide = replace(BASE, arrays=unpacked(base, form, BASE)).save(
            tmp_path / f"{name}-w", dtype="F32"
        )
        merge = replace(recipe(wide, math), dtype="bfloat16")
        merge_to_folder(merge, tmp_path / f"{name}-wide", sync=False)
        of_few, of_wide = values(tmp_path / f"{name}-out"), values(tmp_path / f"{name}-wide")
        assert all(np.array_equal(of_few[key], array) for key, array in of_wide.items())
        with pytest.raises(IncompatibleCheckpoints, match="bitsandbytes is read here, not written"):
            merge_to_folder(recipe(base, math), tmp_path / "no", same_format=True, sync=False)


def test_the_first_model_gives_the_format_if_the_base_has_none(tmp_path: Path) -> None:
    base, math = BASE.save(tmp_path / "base"), save(MATH, tmp_path / "math", FORMS["awq"])
    report = merge_to_folder(recipe(base, math), tmp_path / "out", same_format=True, sync=False)
    assert report.requantised is not None and report.requantised.format == "AWQ"
    assert FolderCheckpoint(tmp_path / "out").low_bit is not None


@pytest.mark.parametrize(
    ("name", "part", "element", "value"),
    [
        ("fp8", "weight_scale_inv", 2, np.nan),
        ("mxfp4-rows", "weight_scale", 3, np.nan),
        *(("nvfp4", "weight_global_scale", 0, n) for n in (np.nan, np.inf, 0.0, -1.0, 1e-38)),
        *(("modelopt-nvfp4", "weight_scale_2", 0, n) for n in (np.nan, np.inf, 0.0, -1.0, 1e37)),
        ("gptq", "scales", 5, np.nan),
        ("bits8", "SCB", 1, np.nan),
        ("nf4", "weight.absmax", 1, np.nan),
        ("nf4-nested", "weight.nested_absmax", 0, np.nan),
    ],
)
def test_a_scale_that_gives_no_number_is_told_by_its_name(
    tmp_path: Path, name: str, part: str, element: int, value: float
) -> None:
    base, math = save(BASE, tmp_path / "base", (FORMS | READ_ONLY)[name]), MATH.save(tmp_path / "m")
    file, stored = base / "model.safetensors", f"{UP.removesuffix('.weight')}.{part}"
    tensors = load_file(file)
    broken = tensors[stored].flatten()
    broken[element] = 255 if broken.dtype == torch.uint8 else value
    save_file(tensors | {stored: broken.reshape(tensors[stored].shape)}, file, {"format": "pt"})
    rule = {
        "weight_global_scale": "divisor must be finite and at least 1.32e-36",
        "weight_scale_2": "factor must be above 0 and at most 7.6e+35",
    }.get(part, "scale must be finite")
    text = re.escape(f"base: {stored} holds {np.float32(value)} at element {element}; every {rule}")
    with pytest.raises(NonFiniteWeights, match=text):
        merge_to_folder(recipe(base, math), tmp_path / "out", sync=False)
    (finding,) = preflight_models(str(base), [str(math)]).blockers
    assert finding.model == str(base) and finding.topic == "weights"
    assert finding.what.startswith(f"{stored} holds")
