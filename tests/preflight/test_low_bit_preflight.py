"""Preflight of models of few bits: their facts, and the share of a delta below one step."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dppa_core.checkpoints.checkpoint import FolderCheckpoint, low_bit_of
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.preflight_checks.facts import in_bytes
from dppa_core.preflight_checks.local_facts import look_at_folder
from dppa_core.profiling import rounding_sample
from dppa_core.profiling.rounding_loss import rounding_loss
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.low_bit_models import FORMS, READ_ONLY, change_config, save, spread
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

BASE = random_llama(1, Shape(hidden=64, intermediate=96))
EVERY = FORMS | READ_ONLY


@pytest.mark.parametrize("name", EVERY)
def test_facts_are_those_of_the_plain_model(tmp_path: Path, name: str) -> None:
    collected = look_at_folder("few", save(BASE, tmp_path, EVERY[name]))
    facts = collected.facts
    assert facts is not None and not collected.findings
    assert {n: facts.shape(n) for n in facts.names()} == BASE.shape.tensors()
    assert facts.low_bit and facts.stored_dtype == "bfloat16" and facts.rows == 259
    assert facts.bytes_of_weights < 4 * facts.parameters


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsys, monkeypatch)


def stored_bytes(folder: Path) -> bytes:
    """All tensors of a folder, one after the other."""
    tensors = load_file(folder / "model.safetensors").values()
    return b"".join(t.reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors)


def level(folder: Path, deltas: np.ndarray) -> tuple[Path, Path]:
    """A base whose matrices are INT4 with steps of 1 up to 7, and a model at a distance of it."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, array in BASE.arrays.items():
        whole = rng.integers(-5, 5, array.shape).astype(np.float32)
        whole[..., ::8] = -8  # every group of 8 has its lowest number
        arrays[name] = whole if array.ndim == 2 else array
    base = replace(BASE, arrays=arrays)
    moved = {n: a + np.resize(deltas, a.shape) if a.ndim == 2 else a for n, a in arrays.items()}
    few = save(base, folder / "base", FORMS["compressed-int4"])
    return few, replace(base, arrays=moved).save(folder / "tuned", dtype="F32")


def test_entries_below_one_step_are_counted(tmp_path: Path) -> None:
    # of 8 entries 5 move by less than the step of 1, 1 by more, 2 not at all; 3 keep their value
    deltas = np.array([0.0, 0.25, -0.25, 0.4, 0.75, 0.8, 2.0, 0.0], np.float32)
    base, tuned = (FolderCheckpoint(folder) for folder in level(tmp_path, deltas))
    loss = rounding_loss(base, [(tuned, 1.0)], "bfloat16", low_bit_of(base))
    assert loss is not None and loss.dtype == "compressed-tensors"
    assert loss.below_step == 5 / 6 and loss.unchanged == 3 / 6
    error = 3 * 0.25**2 + 0.4**2 + 0.2**2
    assert loss.share**2 == pytest.approx(error / np.square(deltas).sum(), rel=1e-4)


def test_a_sample_tells_the_share_of_all_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = FolderCheckpoint(save(BASE, tmp_path / "base", FORMS["fp8"]))
    tuned = FolderCheckpoint(tuned_llama(BASE, 2, 0.002).save(tmp_path / "tuned", dtype="F32"))
    monkeypatch.setattr(rounding_sample, "WHOLE", 1)
    monkeypatch.setattr(rounding_sample, "WINDOW", 256)
    sample = rounding_loss(base, [(tuned, 1.0)], "bfloat16", low_bit_of(base))
    monkeypatch.undo()
    whole = rounding_loss(base, [(tuned, 1.0)], "bfloat16", low_bit_of(base))
    below = changed = 0
    for name in base.low_bit.tensors if base.low_bit else ():
        old, new = base.raw(name).copy(), tuned.raw(name)
        codes = load_file(tmp_path / "base/model.safetensors")[name].view(torch.uint8).numpy()
        scales = load_file(tmp_path / "base/model.safetensors")[f"{name}_scale_inv"]
        wide = spread(scales, torch.Size(codes.shape), 16, 8).numpy().ravel()
        steps = 2.0 ** (np.maximum((codes.ravel().astype(int) & 127) >> 3, 1) - 10) * wide
        below += int((np.abs(new - old) < steps)[new != old].sum())
        changed += int((new != old).sum())
    assert sample and whole and whole.below_step == pytest.approx(below / changed, abs=0.01)
    assert 0.2 < whole.below_step < 0.8 and sample.below_step == pytest.approx(
        whole.below_step, rel=0.1
    )


def test_preflight_says_it_before_the_merge(tmp_path: Path, command: Command) -> None:
    deltas = np.array([0.0, 0.25, -0.25, 0.4, 0.75, 0.8, 2.0, 0.0], np.float32)
    base, tuned = level(tmp_path, deltas)
    assert command("preflight", base, tuned, "--format", "same") == 0
    assert "Rounding to compressed-tensors takes" in command.out
    assert "in 83% the change is smaller than one step" in command.out
    assert "do:  Without --format same the merge is bfloat16, which rounds far less." in command.out
    assert "✓ ok       format: safetensors in compressed-tensors, 78.3 thousand" in command.out
    assert command("preflight", base, tuned) == 0
    assert "Rounding to bfloat16" in command.out and "compressed-tensors takes" not in command.out


def test_the_disk_is_that_of_the_format_that_is_written(tmp_path: Path, command: Command) -> None:
    base = save(BASE, tmp_path / "base", FORMS["fp8"])
    math = save(tuned_llama(BASE, 2), tmp_path / "math", FORMS["fp8"])
    plain = BASE.save(tmp_path / "plain")
    few, wide = (in_bytes(len(stored_bytes(folder))) for folder in (base, plain))
    both = in_bytes(2 * len(stored_bytes(base)))
    for settings, size in (((), f"{wide} in bfloat16"), (("--format", "same"), f"{few} in FP8")):
        assert command("preflight", base, math, *settings) == 0
        assert f"disk: The models are {both} in FP8, the merge {size}; " in command.out
    assert "F32" not in command.out and "Rounding to FP8 takes nothing of ‖d‖" in command.out
    assert command("preflight", plain, math, "--format", "same") == 0
    assert f"in bfloat16, FP8, the merge {few} in FP8; " in command.out


@pytest.mark.parametrize("name", FORMS)
def test_the_bytes_to_write_are_those_of_the_merge(
    tmp_path: Path, command: Command, name: str
) -> None:
    few, plain = save(BASE, tmp_path / "few", FORMS[name]), BASE.save(tmp_path / "plain")
    tuned = tuned_llama(BASE, 2).save(tmp_path / "tuned", dtype="F32")
    tuned_few = save(tuned_llama(BASE, 2), tmp_path / "tuned-few", FORMS[name])
    for base, model, dtype in ((few, tuned, "float32"), (plain, tuned_few, "bfloat16")):
        recipe = MergeRecipe(str(base), (DomainModel(str(model)),), "task_arithmetic", dtype=dtype)
        (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
        assert command("preflight", tmp_path / "r.yaml", "--format", "same", "--json") == 0
        needed = command.json["estimate"]
        report = merge_to_folder(recipe, tmp_path / dtype, same_format=True, sync=False)
        assert needed["written"] == len(stored_bytes(tmp_path / dtype))
        assert report.requantised and needed["dtype"] == report.requantised.format
        assert needed["read"] == len(stored_bytes(base)) + len(stored_bytes(model))
        assert command("preflight", tmp_path / "r.yaml", "--format", "same") == 0
        assert f"the merge {in_bytes(needed['written'])} in {needed['dtype']}; " in command.out


def test_a_format_that_cannot_be_written_is_a_blocker(tmp_path: Path, command: Command) -> None:
    plain, math = BASE.save(tmp_path / "plain"), tuned_llama(BASE, 2).save(tmp_path / "math")
    assert command("preflight", plain, math, "--format", "same") == 1
    assert "No model is stored in few bits, so --format same has no format" in command.out
    few = save(BASE, tmp_path / "few", READ_ONLY["nf4"])
    assert command("preflight", few, math, "--format", "same") == 1
    assert "bitsandbytes is read here, not written." in command.out


def test_damage_is_a_blocker(tmp_path: Path, command: Command) -> None:
    base = save(BASE, tmp_path / "base", FORMS["gptq"])
    BASE.save(tmp_path / "tuned")
    change_config(base, quantization_config={**FORMS["gptq"].settings, "group_size": 16})
    assert command("preflight", base, tmp_path / "tuned") == 1
    assert "files: 'model.layers.0.mlp.gate_proj.scales' is F16 [8, 96], and for" in command.out
    assert command.err.startswith("dppa: 1 finding stands")


@pytest.mark.parametrize("settings", [(), ("--format", "same")], ids=["plain", "same"])
@pytest.mark.parametrize("broken", ["base", "math"])
def test_one_cause_is_one_blocker(
    tmp_path: Path, command: Command, broken: str, settings: tuple[str, ...]
) -> None:
    base = save(BASE, tmp_path / "base", FORMS["fp8"])
    math = save(tuned_llama(BASE, 2), tmp_path / "math", FORMS["fp8"])
    weights = tmp_path / broken / "model.safetensors"
    whole, config = weights.read_bytes(), {"quant_method": "of-tomorrow", "bits": 8}

    def blockers() -> list[str]:
        assert command("preflight", base, math, *settings, "--json") == 1
        return [f["what"] for f in command.json["findings"] if f["severity"] == "blocker"]

    for length in (len(whole) // 2, 100, 4):
        weights.write_bytes(whole[:length])
        (text,) = blockers()
        assert "model.safetensors" in text and "quantised" not in text
    weights.write_bytes(whole)
    change_config(tmp_path / broken, quantization_config=config)
    assert blockers() == ["Its weights are quantised (of-tomorrow, 8 bits)."]
    consequences = ("Its weights are BF16", "the base's BF16", "in the base F32", "from this base")
    texts = json.dumps(command.json["findings"])
    assert not [text for text in consequences if text in texts]
