"""Preflight of stacks: facts of all their models, and whether they fit."""

from pathlib import Path

from dppa_core.preflight_checks.preflight_report import preflight_models
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama


def test_a_stack_has_the_files_of_all_its_models_and_its_own_tensors(tmp_path: Path) -> None:
    base = random_llama(0, Shape(layers=3))
    base.save(tmp_path / "base")
    tuned_llama(base, 1).save(tmp_path / "math")
    a, b = tmp_path / "base", tmp_path / "math"
    report = preflight_models(f"stack:{a}[0:3,1:3]", [f"stack:{a}[0:3],{b}[1:3]"])
    assert not report.blockers
    stack = report.facts[1]
    assert stack.config["num_hidden_layers"] == 5
    assert {f"{a}/model.safetensors", f"{b}/model.safetensors"} <= set(stack.files)
    assert stack.parameters > 1.4 * sum(weight.size for weight in base.arrays.values()) - 259 * 32
    texts = [finding.what for finding in report.findings if finding.topic == "layers"]
    assert texts[1] == "A stack of 5 layers: 0–2 from 0–2 of base, 3–4 from 1–2 of math."
    unstated = {finding.model for finding in report.findings if "no licence" in finding.what}
    assert unstated == {str(a), str(b)}


def test_models_of_other_widths_block_before_anything_is_read(tmp_path: Path) -> None:
    random_llama(0, Shape(layers=3)).save(tmp_path / "base")
    random_llama(0, Shape(layers=3, hidden=64)).save(tmp_path / "wide")
    a, b = tmp_path / "base", tmp_path / "wide"
    report = preflight_models(str(a), [f"stack:{a}[0:2],{b}[1:2]"])
    assert any(f"{a} is 32 wide, {b} 64" in finding.what for finding in report.blockers)
