"""A merge in parts, by processes that share nothing but a folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from dppa_core.errors import InvalidValue
from dppa_core.merging.cluster.batch import join_parts, merge_part
from dppa_core.merging.cluster.parts import parts_folder
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.low_bit_models import FORMS, save
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law", (0.5,))))
SIZE = 4_000


@pytest.fixture
def recipe(zoo_env: Path, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(RECIPE))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def waiting(folder: Path) -> list[Path]:
    """Weight files beside a folder that is not made yet."""
    return sorted(folder.parent.glob(f".{folder.name}.dppa-parts-*/*.safetensors"))


def test_two_processes_and_a_joining_one_write_the_bytes_of_one_merge(
    recipe: Path, dppa: Command, tmp_path: Path
) -> None:
    merge_to_folder(RECIPE, tmp_path / "whole", shard_size=SIZE, sync=False)
    out = tmp_path / "out"
    command = ["merge", recipe, "--out", out, "--shard-size", str(SIZE), "--part"]
    both = [
        subprocess.Popen([sys.executable, "-m", "dppa_core", *map(str, command), part, "--json"],
                         stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()})
        for part in ("1/2", "2/2")
    ]  # fmt: skip
    told = [json.loads(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0] and not out.exists()
    assert sum(part["files"] for part in told) == told[0]["of"] == len(waiting(out)) > 3
    assert [part["written"] for part in told] == [part["files"] for part in told]
    assert dppa(*command, "join") == 0
    assert contents(out) == contents(tmp_path / "whole") and not waiting(out)


def test_a_part_runs_again_and_joining_writes_what_is_missing_or_damaged(
    recipe: Path, tmp_path: Path
) -> None:
    merge_to_folder(RECIPE, tmp_path / "whole", shard_size=SIZE, sync=False)
    out = tmp_path / "out"
    first = merge_part(RECIPE, out, 1, 3, shard_size=SIZE)
    assert first.written == first.files == len(waiting(out))
    assert merge_part(RECIPE, out, 1, 3, shard_size=SIZE).written == 0
    lost, damaged, *_ = waiting(out)
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert merge_part(RECIPE, out, 2, 3, shard_size=SIZE).written > 0
    join_parts(RECIPE, out, shard_size=SIZE, sync=False)
    assert contents(out) == contents(tmp_path / "whole") and not waiting(out)


def left(folder: Path) -> list[str]:
    """What lies beside a folder that is not made yet, or was made."""
    return sorted(path.name for path in folder.parent.glob(f".{folder.name}.dppa-parts*"))


def test_a_part_that_was_told_otherwise_is_refused_by_what_differs(
    recipe: Path, dppa: Command, tmp_path: Path
) -> None:
    command = ["merge", recipe, "--out", tmp_path / "out", "--part"]
    assert dppa(*command, "1/2", "--shard-size", SIZE) == 0
    beside = left(tmp_path / "out")
    other = dump_recipe(replace(RECIPE, models=(RECIPE.models[0], DomainModel("zoo:law", (0.6,)))))
    wrong: dict[str, tuple[Any, ...]] = {
        f"--shard-size is {SIZE + 1} bytes here, {SIZE} bytes there": ("2/2", SIZE + 1),
        f"--shard-size is 5000000000 bytes here, {SIZE} bytes there": ("2/2", "5GB"),
        "--part is of 3 here, of 2 there": ("2/3", SIZE),
        "recipe: models.1.levels.0 is 0.6 here, 0.5 there": ("2/2", SIZE, other),
    }
    for text, (part, size, *recipes) in wrong.items():
        recipe.write_text((*recipes, dump_recipe(RECIPE))[0])
        calls = [part] if text.startswith("--part") else [part, "join"]
        for call in calls:
            assert dppa(*command, call, "--shard-size", size) == 1, text
            assert text in dppa.err and "Give what they were given, or remove" in dppa.err
        assert left(tmp_path / "out") == beside and not (tmp_path / "out").exists()
    recipe.write_text(dump_recipe(RECIPE))
    assert dppa(*command, "2/2", "--shard-size", SIZE) == 0
    assert dppa(*command, "join", "--shard-size", SIZE) == 0
    assert not left(tmp_path / "out") and "missing" not in dppa.out


def test_other_weights_under_the_same_name_are_told(dppa: Command, tmp_path: Path) -> None:
    base, out = random_llama(1, Shape(hidden=40, intermediate=56)), tmp_path / "out"
    base.save(tmp_path / "base"), tuned_llama(base, 2).save(tmp_path / "m")
    merge = MergeRecipe(str(tmp_path / "base"), (DomainModel(str(tmp_path / "m"), (0.5,)),))
    merge_part(merge, out, 1, 2, shard_size=SIZE)
    shutil.rmtree(tmp_path / "m")
    tuned_llama(base, 3).save(tmp_path / "m")
    with pytest.raises(InvalidValue, match=r"weights of .*/m are [0-9a-f]{12}… here, [0-9a-f]"):
        merge_part(merge, out, 2, 2, shard_size=SIZE)


def test_of_parts_that_start_at_once_the_first_decides(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def run(size: int) -> str:
        try:
            return merge_part(RECIPE, out, 1, 2, shard_size=size).folder
        except InvalidValue as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(run, [SIZE, SIZE + 1, SIZE, SIZE + 1]))
    refused = [text for text in told if "is refused" in text]
    assert len(refused) == 2 and len({text for text in told if text not in refused}) == 1
    assert len(left(out)) == 2, "the folder of the first, and what it was told"


def test_parts_whose_folder_was_removed_bind_nobody(recipe: Path, tmp_path: Path) -> None:
    first = merge_part(RECIPE, tmp_path / "out", 1, 2, shard_size=SIZE)
    shutil.rmtree(first.folder)
    assert merge_part(RECIPE, tmp_path / "out", 2, 2, shard_size=SIZE + 1).written
    join_parts(RECIPE, tmp_path / "out", shard_size=SIZE + 1, sync=False)
    assert not left(tmp_path / "out")


@pytest.mark.parametrize("folder", ["", "../elsewhere", 7])
def test_what_the_parts_were_told_is_no_path_that_anyone_may_set(
    recipe: Path, tmp_path: Path, folder: object
) -> None:
    out = tmp_path / "out"
    merge_part(RECIPE, out, 1, 2, shard_size=SIZE)
    (told,) = tmp_path.glob(".out.dppa-parts.json")
    told.write_text(json.dumps({**json.loads(told.read_text()), "folder": folder}))
    with pytest.raises(InvalidValue, match=r"dppa-parts\.json: what the parts .* cannot be read"):
        merge_part(RECIPE, out, 2, 2, shard_size=SIZE)


def test_joining_says_which_parts_it_writes_itself(
    recipe: Path, dppa: Command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["merge", recipe, "--out", out, "--shard-size", SIZE, "--part"]
    assert dppa(*command, "1/3") == 0 and dppa(*command, "3/3") == 0
    waiting(out)[0].unlink()
    assert dppa(*command, "join") == 0
    warned = [line for line in dppa.out.splitlines() if " part " in line]
    assert len(warned) == 2
    first = (
        r"warning: part 1/3: of its \d+ weight files 1 missing or damaged; joining wrote as many."
    )
    assert re.fullmatch(first, warned[0])
    second = r"warning: part 2/3 was missing: joining wrote its \d+ weight files\."
    assert re.fullmatch(second, warned[1])


def test_leftovers_of_another_merge_are_told(recipe: Path, dppa: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["merge", recipe, "--out", out, "--shard-size", SIZE, "--part"]
    with parts_folder(open_merger(RECIPE), SIZE + 1, out) as other:
        (other / "model.safetensors").write_bytes(b"old")
    for part in ("1/2", "2/2", "join"):
        assert dppa(*command, part) == 0
        assert f"{other} holds weight files of another merge to {out}" in dppa.out
        assert "remove it" in dppa.out
    assert other.exists()


def test_without_what_they_were_told_parts_of_another_merge_are_not_merged_anew(
    recipe: Path, dppa: Command, tmp_path: Path
) -> None:
    command = ["merge", recipe, "--out", tmp_path / "out", "--part"]
    assert dppa(*command, "1/1", "--shard-size", SIZE) == 0
    (claim,) = tmp_path.glob(".out.dppa-parts.json")
    claim.unlink()
    assert dppa(*command, "join", "--shard-size", SIZE + 1) == 1
    assert "no part of this merge is there, but parts of another" in dppa.err
    assert "--shard-size or --format is the usual cause" in dppa.err
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.glob(".out.dppa-parts-*"))) == 1
    assert dppa(*command, "join", "--shard-size", SIZE) == 0


def test_parts_run_beside_each_other_and_are_not_joined_meanwhile(
    recipe: Path, tmp_path: Path
) -> None:
    merger, out = open_merger(RECIPE), tmp_path / "out"
    with parts_folder(merger, SIZE, out, shared=True):
        assert merge_part(RECIPE, out, 2, 2, shard_size=SIZE).written > 0
        with pytest.raises(InvalidValue, match="another process writes this very merge"):
            join_parts(RECIPE, out, shard_size=SIZE)
    assert not out.exists()


def test_bad_parts_are_refused_in_a_line(recipe: Path, dppa: Command, tmp_path: Path) -> None:
    command = ["merge", recipe, "--out", tmp_path / "out", "--part"]
    for part in ("3/2", "0/2"):
        assert dppa(*command, part) == 1
        assert f"--part: I of I/N must be from 1 to 2, got {part}" in dppa.err
    for part in ("2", "a/b", "1/2/3"):
        assert dppa(*command, part) == 2
        assert "--part takes I/N, as 2/8, or join" in dppa.err
    assert dppa(*command, "1/2", "--ray", "auto") == 2 and "leave out --ray" in dppa.err
    assert dppa(*command, "1/2", "--gguf", tmp_path / "a.gguf") == 2
    recipe.write_text(dump_recipe(RECIPE).replace("zoo:law", str(tmp_path / "first.yaml")))
    assert dppa(*command, "1/2") == 1 and "merge this earlier recipe first" in dppa.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["fp8", "compressed-int4-zeros", "gptq-act-order"])
def test_parts_in_few_bits_are_the_bytes_of_one_merge(
    dppa: Command, tmp_path: Path, form: str
) -> None:
    base = random_llama(1, Shape(hidden=40, intermediate=56))
    models = [save(base, tmp_path / "base", FORMS[form]), tuned_llama(base, 2).save(tmp_path / "m")]
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    merge = MergeRecipe(str(models[0]), (DomainModel(str(models[1]), (0.5,)),))
    recipe.write_text(dump_recipe(merge))
    settings: dict[str, Any] = {"shard_size": 1000, "sync": False}
    whole = merge_to_folder(merge, tmp_path / "whole", same_format=True, **settings)
    command = ["merge", recipe, "--out", out, "--shard-size", 1000, "--part"]
    for part in ("2/2", "1/2"):
        assert dppa(*command, part, "--format", "same") == 0
    for part in ("2/2", "join"):
        assert dppa(*command, part) == 1
        assert "--format is plain here, same there" in dppa.err
    lost, damaged, *kept = waiting(out)
    modules = [{name.rpartition(".")[0] for name in load_file(path)} for path in kept]
    assert len(set().union(*modules)) < sum(map(len, modules))  # some are in two files
    lost.unlink()
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert dppa(*command, "join", "--format", "same", "--json") == 0
    assert contents(out) == contents(tmp_path / "whole") and not waiting(out)
    assert dppa.json["requantised"] == asdict(whole.requantised) and whole.requantised.error > 0
