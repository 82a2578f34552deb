"""What preflight says that rounding takes, compared with what a merge then writes."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dppa_core.checkpoints.checkpoint import FolderCheckpoint
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.preflight_checks.facts import Severity
from dppa_core.preflight_checks.preflight_report import preflight_models, preflight_recipe
from dppa_core.profiling import rounding_sample
from dppa_core.profiling.rounding_loss import rounding_loss
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.low_bit_models import FORMS, save
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

BASE = random_llama(1, Shape(hidden=64, intermediate=96))
MATH, LAW = tuned_llama(BASE, 2, 0.01), tuned_llama(BASE, 3, 0.01)
CUT = re.compile(r"takes ([\d.e-]+) of ‖.*: (\d+)% of the changed weights")


def added(base: Path, *models: tuple[Path, Any]) -> MergeRecipe:
    parts = tuple(DomainModel(str(path), coefficient=number) for path, number in models)
    return MergeRecipe(str(base), parts, "task_arithmetic")


def values(folder: Path, name: str) -> np.ndarray:
    checkpoint = FolderCheckpoint(folder)
    return to_float32(checkpoint.raw(name), checkpoint.dtype(name))


def measured(recipe: MergeRecipe, out: Path, *, same_format: bool = True) -> tuple[float, float]:
    """(share of what is added that rounding took, share of changed weights as in the base)."""
    merge_to_folder(recipe, out, same_format=same_format, sync=False)
    written = FolderCheckpoint(out)
    names = written.low_bit.tensors if written.low_bit else written.names()
    error = square = changed = kept = 0.0
    for name in names:
        old, new = values(Path(recipe.base), name), values(out, name)
        total = old.copy()
        for model in recipe.models:
            tuned = values(Path(model.model), name)
            total += np.float32(model.coefficient) * (tuned - old)
        error += np.square(new - total, dtype=np.float64).sum()
        square += np.square(total - old, dtype=np.float64).sum()
        changed += (total != old).sum()
        kept += ((total != old) & (new == old)).sum()
    return (error / square) ** 0.5, kept / changed


def said(recipe: MergeRecipe, **settings: Any) -> tuple[str, str]:
    """Severity and text of the finding on rounding."""
    report = preflight_recipe(recipe, **settings)
    (finding,) = (f for f in report.findings if "ounding to" in f.what)
    assert finding.model == "" and finding.topic == "dtype"
    return finding.severity, finding.what


@pytest.mark.parametrize(
    "form", ["fp8", "fp8-whole", "compressed-int4", "gptq", "nvfp4", "mxfp4-rows"]
)
@pytest.mark.parametrize("coefficient", [0.1, 0.7])
def test_the_estimate_is_what_the_merge_loses(
    tmp_path: Path, form: str, coefficient: float
) -> None:
    base, math = (save(m, tmp_path / n, FORMS[form]) for m, n in ((BASE, "base"), (MATH, "math")))
    recipe = added(base, (math, coefficient))
    share, kept = measured(recipe, tmp_path / "out")
    _, text = said(recipe, few_bits=True)
    told = CUT.search(text)
    assert told and float(told[1]) == pytest.approx(share, rel=0.05), (text, share)
    assert int(told[2]) == pytest.approx(100 * kept, abs=1), (text, kept)
    assert f"‖{coefficient:g} d‖, the delta whole:" in text


def test_nothing_is_said_to_be_lost_where_nothing_is_rounded(tmp_path: Path) -> None:
    base, math = (save(m, tmp_path / n, FORMS["fp8"]) for m, n in ((BASE, "base"), (MATH, "math")))
    severity, text = said(added(base, (math, 1.0)), few_bits=True)
    assert severity == Severity.OK and "Rounding to FP8 takes nothing of ‖d‖" in text
    report = merge_to_folder(added(base, (math, 1.0)), tmp_path / "out", same_format=True)
    assert not [line for line in report.warnings if "ounding" in line]
    plain, few = BASE.save(tmp_path / "plain"), save(MATH, tmp_path / "few", FORMS["gptq"])
    severity, text = said(added(plain, (few, 1.0)), few_bits=True)
    assert severity == Severity.OK and "takes nothing" in text and "%" not in text
    severity, text = said(added(plain, (few, 0.7)), few_bits=True)
    share, _ = measured(added(plain, (few, 0.7)), tmp_path / "of-few")
    told = CUT.search(text)
    assert told and float(told[1]) == pytest.approx(share, rel=0.05) and share > 0.1
    assert severity == Severity.WARNING


def test_models_of_a_recipe_are_added_together(tmp_path: Path) -> None:
    models = ((BASE, "base"), (MATH, "math"), (LAW, "law"))
    base, math, law = (save(model, tmp_path / name, FORMS["fp8"]) for model, name in models)
    recipe = added(base, (math, 0.6), (law, 0.3))
    share, kept = measured(recipe, tmp_path / "out")
    _, text = said(recipe, few_bits=True)
    told = CUT.search(text)
    assert told and float(told[1]) == pytest.approx(share, rel=0.05)
    assert int(told[2]) == pytest.approx(100 * kept, abs=1)
    assert "of ‖Σ c d‖, every delta whole, with the recipe's coefficients:" in text
    findings = preflight_models(str(base), [str(math), str(law)], few_bits=True).findings
    alone = [f for f in findings if "Rounding to FP8" in f.what]
    assert [f.model for f in alone] == [str(math), str(law)]
    assert all("takes nothing of ‖d‖, added whole" in f.what for f in alone)


def test_coefficients_by_layer_count(tmp_path: Path) -> None:
    base, math = (save(m, tmp_path / n, FORMS["fp8"]) for m, n in ((BASE, "base"), (MATH, "math")))
    of_layers = [dict.fromkeys(range(BASE.shape.layers), number) for number in (0.1, 1.0)]
    texts = [said(added(base, (math, each)), few_bits=True)[1] for each in of_layers]
    assert "Σ c d" in texts[0] and "nothing" not in texts[0] and "nothing" in texts[1]


def test_sums_in_the_models_own_dtype_are_rounded_too(tmp_path: Path, dppa: Command) -> None:
    """bfloat16 holds W + d, and not W + 0.3 d."""
    base, math = BASE.save(tmp_path / "base"), MATH.save(tmp_path / "math")
    recipe = added(base, (math, 0.3))
    share, kept = measured(recipe, tmp_path / "out", same_format=False)
    severity, text = said(recipe)
    told = CUT.search(text)
    assert told and float(told[1]) == pytest.approx(share, rel=0.05)
    assert int(told[2]) == pytest.approx(100 * kept, abs=1)
    assert severity != Severity.WARNING, "it is the models' own format"
    finding = preflight_recipe(added(base, (math, 1.0))).findings
    assert any("stored in bfloat16, which loses nothing of BF16" in f.what for f in finding)
    assert dppa("preflight", base, math) == 0 and "loses nothing of BF16" in dppa.out


def test_a_merge_says_what_it_lost_and_no_estimate(tmp_path: Path, dppa: Command) -> None:
    base, math = (save(m, tmp_path / n, FORMS["fp8"]) for m, n in ((BASE, "base"), (MATH, "math")))
    recipe = added(base, (math, 0.1))
    share, _ = measured(recipe, tmp_path / "first")
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
    command = ["merge", tmp_path / "r.yaml", "--out", tmp_path / "out", "--format", "same"]
    assert dppa(*command) == 0
    assert re.search(rf"; rounding took .* of ‖W‖ \(most of .*\), {share:.2g} of what", dppa.out)
    (warning,) = (line for line in dppa.out.splitlines() if line.startswith("warning: Rounding"))
    assert f"took {share:.2g} of what the merge adds to the base" in warning
    assert "sample" not in dppa.out and "Without --format same" in warning
    assert dppa(*command, "--overwrite", "--json") == 0 and dppa.json["rounding"] is None
    assert dppa.json["requantised"]["of_added"] == pytest.approx(share, rel=1e-3)
    card = (tmp_path / "out/README.md").read_text()
    assert f"and {share:.3g} of what the merge adds" in card


def test_of_large_matrices_a_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("fp8", "fp8-whole", "fp8-rows", "gptq-act-order", "nvfp4", "mxfp4-rows"):
        paths = [save(m, tmp_path / form / n, FORMS[form]) for m, n in ((BASE, "b"), (MATH, "m"))]
        base, math = map(FolderCheckpoint, paths)
        whole = rounding_loss(base, [(math, 0.5)], "bfloat16", base.low_bit)
        monkeypatch.setattr(rounding_sample, "WHOLE", 100)
        monkeypatch.setattr(rounding_sample, "WINDOW", 64)
        part = rounding_loss(base, [(math, 0.5)], "bfloat16", base.low_bit)
        monkeypatch.undo()
        assert whole and part and part != whole
        assert part.share == pytest.approx(whole.share, rel=0.25), form
        one = rounding_loss(base, [(math, 1.0)], "bfloat16", base.low_bit)
        assert one is not None
        if form.startswith("fp8"):
            assert one.share < 1e-6, form
