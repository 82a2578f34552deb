"""Parts of the engine benchmark on tiny models: no mergekit, no network."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import synthetic
from benchmarks.engine import inside, merges, process
from benchmarks.engine.differences import _ordered, count
from benchmarks.engine.figures import figures
from benchmarks.engine.journal import ROOT, Journal
from benchmarks.engine.recipes import write_recipes
from benchmarks.engine.report import text, to_json
from benchmarks.engine.write import keep
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import load_recipe
from scripts.figures import TEXTS

CONDITIONS = {"machine": "m", "versions": {"numpy": "2"}, "source": "s", "rounds": 2}
TINY = synthetic.Size(2, 64, 128, 32, 4, 256)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(synthetic.SIZES, "S", TINY)
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    return synthetic.make("S", tmp_path / "models")


def test_our_recipes_merge_and_mergekits_say_the_same(models: Path, tmp_path: Path) -> None:
    write_recipes("S", models, tmp_path)
    for method in ("dppa", "ties", "task_arithmetic"):
        recipe = load_recipe(tmp_path / f"{method}.yaml")
        assert merge_to_folder(recipe, tmp_path / method, sync=False).densities
    fast = (tmp_path / "mergekit-ties.yaml").read_text("utf-8")
    assert "density: 0.2" in fast and "normalize: true" in fast
    assert fast.endswith("dtype: bfloat16\n") and "float32" not in fast


def test_weights_that_differ_are_counted(models: Path, tmp_path: Path) -> None:
    base, math, law = (models / name for name in ("base", "math", "law"))
    same = count(math, math, base)
    assert same["weights"] == sum(spec.numel for spec in TINY.tensors())
    assert same["differing"] == same["by more than a step"] == same["share of the change"] == 0
    counts = count(law, math, base)
    assert 0 < counts["by more than a step"] < counts["differing"] <= counts["weights"]
    steps = np.array([0x0000, 0x8000, 0x3F80, 0x3F81, 0xBF80], np.uint16)  # 0 -0 1 1+ -1
    ordered = [int(value) for value in _ordered(steps)]
    assert ordered[0] == ordered[1] and ordered[3] - ordered[2] == 1 and ordered[4] == -ordered[2]


@pytest.mark.usefixtures("one_torch_thread")
def test_loops_and_slider_are_timed(models: Path) -> None:
    (values,) = inside.measure(models, rounds=1, warm_up=0)
    assert set(values) == {
        "copy, bytes of a profile",
        "profile",
        "copy, bytes of a merge",
        "apply, exact ties",
        "apply, ties pruned",
        "slider to live weights",
        "slider to live weights, CPU",
        "new factors to live weights",
        "new factors to live weights, CPU",
    }
    assert all(0 < value < 60 for value in values.values())


def test_a_process_is_measured_with_its_children(tmp_path: Path) -> None:
    work = "x = bytearray(120 * 2**20); sum(range(3_000_000))"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    used = process.run([sys.executable, "-c", code], tmp_path / "log", on=process.cores()[:1])
    assert used.peak > 120 * 2**20 and 0 < used.cpu < 60 and used.wall > 0
    with pytest.raises(process.RunFailed, match="exit code 3\nsorry"):
        process.run([sys.executable, "-c", "print('sorry'); exit(3)"], tmp_path / "log")
    before = process.cores()
    with process.pinned(before[:1]):
        assert process.cores() == before[:1]
    assert process.cores() == before


def test_a_journal_goes_on_after_a_kill_and_begins_anew_for_other_code(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, CONDITIONS)
    journal.add("S", {"dppa": 1})
    with path.open("a") as file:
        file.write('{"part": "S", "val')  # killed while writing
    assert Journal(path, CONDITIONS).rounds("S") == [{"dppa": 1}]
    assert Journal(path, {**CONDITIONS, "source": "other"}).rounds("S") == []


def test_rounds_take_turns_and_only_the_missing_ones_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def once(bench: merges.Bench, size: str, name: str) -> process.Usage:
        ran.append(name)
        return process.Usage(1.0, 1.0, 1)

    monkeypatch.setattr(merges.Bench, "once", once)
    monkeypatch.setattr(merges, "make_models", lambda bench, size: tmp_path)
    journal = Journal(tmp_path / "journal.jsonl", CONDITIONS)
    bench = merges.Bench(tmp_path, Path("mergekit-yaml"), lambda text: None)
    journal.add("S", {})
    merges.measure_merges(bench, journal, "S", 2)
    assert ran == 2 * list(merges.ROUNDS["S"])  # once to warm up, once that counts
    merges.measure_merges(bench, journal, "S", 2)
    assert len(ran) == 2 * len(merges.ROUNDS["S"])


def test_ours_begins_without_profiles_and_both_keep_byte_code(tmp_path: Path) -> None:
    bench = merges.Bench(tmp_path, Path("bin/mergekit-yaml"), lambda text: None)
    (tmp_path / "profiles").mkdir()
    ours = bench.environment("dppa")
    assert not (tmp_path / "profiles").exists()
    assert ours["DPPA_CACHE"] == str(tmp_path / "profiles")
    assert ours["PYTHONDONTWRITEBYTECODE"] is None
    theirs = bench.command("S", "mergekit ties")
    assert theirs[0] == "bin/mergekit-yaml" and "--lazy-unpickle" in theirs
    assert "--no-sync" in bench.command("M", "dppa, two cores")


def run_of(seconds: float) -> dict[str, float]:
    return {"wall": seconds, "cpu": seconds, "peak": 300 * 2**20}


def test_figures_divide_within_a_round_and_know_their_targets() -> None:
    rounds = {"S": [{"dppa": run_of(1), "mergekit ties": run_of(10)} for _ in range(2)]}
    rounds["S"][1] = {"dppa": run_of(1), "mergekit ties": run_of(100)}
    by_name = {figure.name: figure for figure in figures(lambda part: rounds.get(part, []))}
    ratio = by_name["our merge ÷ mergekit ties, S"]
    assert ratio.values == (0.1, 0.01) and ratio.median == pytest.approx(0.055)
    assert ratio.reached and by_name["peak memory, S"].median == 300
    assert by_name["our merge ÷ mergekit ties, M"].reached is None
    rounds["S"][0]["dppa"] = {**run_of(1), "cpu": 9.0}  # the clock was lucky
    assert not figures(lambda part: rounds.get(part, []))[0].reached


def test_what_is_written_stands_between_the_marks(tmp_path: Path) -> None:
    rounds = {"S": [{"dppa": run_of(1), "mergekit ties": run_of(10)}]}
    results = to_json(lambda part: rounds.get(part, []), CONDITIONS)
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n", "utf-8")
    keep("bench-x", results, text(results), "page", tmp_path)
    assert json.loads((tmp_path / "docs" / "bench-x.json").read_text("utf-8")) == results
    assert "| our merge ÷ mergekit ties, S | ✗ 0.1 | 0.06 |" in text(results)
    assert page.read_text("utf-8") == (f"a\n<!-- x:start -->\n{text(results)}\n<!-- x:end -->\nb\n")
    with pytest.raises(ValueError, match="each once"):
        keep("bench-y", results, "", "page", tmp_path)


@pytest.mark.parametrize(("name", "page"), TEXTS)
def test_the_pages_hold_the_tables_of_the_results_that_are_kept(name: str, page: str) -> None:
    results = json.loads((ROOT / "docs" / f"{name}.json").read_text("utf-8"))
    mark = name.removeprefix("bench-")
    text = f"<!-- {mark}:start -->\n{TEXTS[name, page](results)}\n<!-- {mark}:end -->"
    assert text in (ROOT / "docs" / f"{page}.md").read_text("utf-8"), "run scripts.figures"


def test_the_parent_stays_too_small_to_be_counted() -> None:
    """A process inherits the peak of the one that started it, as the kernel counts."""
    code = "import benchmarks.engine.__main__; print(open('/proc/self/status').read())"
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peak = next(line for line in process.stdout.splitlines() if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 150 * 1024
