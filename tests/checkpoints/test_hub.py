"""Models of the Hub: which files are fetched, pinning, caching, and one-line errors."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants, hf_hub_download

from dppa_core.checkpoints.sources import download as hub_download
from dppa_core.checkpoints.sources.open import (
    ModelRef,
    open_checkpoint,
    pinned,
    tokenizer_place,
)
from dppa_core.cli.commands.cards import card
from dppa_core.errors import (
    Cancelled,
    DppaError,
    IncompatibleCheckpoints,
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
    OutOfBudget,
    Unreachable,
)
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    dump_recipe,
    load_recipe,
    recipe_hash,
)
from tests.helpers.hub_server import HubServer, stand_in
from tests.helpers.pickles import save_pickled
from tests.helpers.tiny_models import random_llama, tuned_llama

ROOT = Path(__file__).resolve().parents[2]
BASE, MATH = "acme/tiny-base", "acme/tiny-math"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Two models on a local Hub, and an empty cache."""
    server = HubServer()
    base = random_llama(0)
    base.save(tmp_path / "models" / "base")
    tuned_llama(base, 1).save(tmp_path / "models" / "math", shards=3)
    server.add(BASE, tmp_path / "models" / "base")
    server.add(MATH, tmp_path / "models" / "math")
    stand_in(server, tmp_path / "cache", monkeypatch)
    yield server
    server.close()


@pytest.fixture
def offline(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def commit(hub: HubServer, name: str) -> str:
    return hub.models[name].commit


@pytest.mark.parametrize("text", [MATH, f"hub:{MATH}", f"{MATH}@main", f" hub:{MATH}@main "])
def test_a_model_is_fetched_once(hub: HubServer, tmp_path: Path, text: str) -> None:
    checkpoint = open_checkpoint(text)
    assert checkpoint.folder.name == commit(hub, MATH)
    local = open_checkpoint(str(tmp_path / "models" / "math"))
    assert checkpoint.content_hash() == local.content_hash()
    assert len(hub.files()) == len(set(hub.files()))
    before = len(hub.files())
    again = open_checkpoint(f"hub:{MATH}@{commit(hub, MATH)}")
    assert len(hub.files()) == before and again.folder == checkpoint.folder


def test_only_what_a_merge_needs_is_fetched_and_never_code(hub: HubServer) -> None:
    folder = hub.models[BASE].folder
    for name in ("modeling_tiny.py", "pytorch_model.bin", "consolidated.safetensors", "logo.png"):
        (folder / name).write_bytes(b"x")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    fetched = open_checkpoint(BASE).folder
    assert sorted(path.name for path in fetched.iterdir()) == sorted(
        ("config.json", "generation_config.json", "model.safetensors", "README.md",
         "tokenizer.json", "tokenizer_config.json")
    )  # fmt: skip
    assert hub.files()[-1] == "model.safetensors"  # the large part last


def test_of_a_model_whose_tokenizer_alone_is_asked_for_no_weights_are_fetched(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tokenizer_place(BASE)
    assert (folder / "tokenizer.json").is_file()
    assert "model.safetensors" not in hub.files()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert tokenizer_place(BASE) == folder


def test_what_another_program_left_out_is_fetched_and_then_nothing(hub: HubServer) -> None:
    folder = hub.models[BASE].folder
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        hf_hub_download(BASE, name)
    assert (open_checkpoint(BASE).folder / "README.md").exists()
    before = len(hub.requests)
    assert (open_checkpoint(f"hub:{BASE}@{commit(hub, BASE)}").folder / "README.md").exists()
    assert len(hub.requests) == before


def test_an_index_that_lists_what_is_not_there_is_refused(hub: HubServer) -> None:
    (hub.models[MATH].folder / "model-00002-of-00003.safetensors").unlink()
    fails(MATH, MissingCheckpoint, "lists 'model-00002-of-00003.safetensors'.*does not hold")


def test_a_card_shows_the_commits_a_merge_would_take(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = MergeRecipe(BASE, (DomainModel(MATH, (0.8,)),))
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")
    card(tmp_path / "recipe.yaml")
    printed = capsys.readouterr().out
    merge_to_folder(recipe, tmp_path / "out")
    merged = (tmp_path / "out" / "README.md").read_text("utf-8")
    start, end = merged.index("## Weights"), merged.index("## Make it again")
    assert printed == merged[:start] + merged[end:]  # a recipe has no hashes yet
    assert f"- {BASE}\n- {MATH}\n" in printed and "# tiny-base merged with tiny-math" in printed


def test_progress_counts_bytes_and_never_falls(hub: HubServer) -> None:
    heard: list[tuple[int, int, str]] = []
    open_checkpoint(MATH, progress=lambda count, total, step: heard.append((count, total, step)))
    counts = [entry[0] for entry in heard]
    assert counts == sorted(counts) and {entry[1] for entry in heard} == {counts[-1]}
    assert {entry[2].rpartition(" ")[2] for entry in heard} >= {"tokenizer.json"}


def test_a_stopped_download_goes_on_with_the_files_that_are_missing(hub: HubServer) -> None:
    class Stop:
        def is_set(self) -> bool:
            return "model-00002-of-00003.safetensors" in hub.files()

    with pytest.raises(Cancelled):
        open_checkpoint(MATH, stop=Stop())
    before = set(hub.files())
    hub.requests.clear()
    open_checkpoint(MATH)
    assert set(hub.files()) & before <= {"model-00002-of-00003.safetensors"}


def test_an_answer_that_breaks_off_is_taken_up_again(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    broken = iter([1000])
    hub.break_off = lambda path: next(broken, None) if path.endswith("model.safetensors") else None
    fetched = open_checkpoint(BASE)
    assert fetched.content_hash() == open_checkpoint(str(hub.models[BASE].folder)).content_hash()


def test_a_recipe_is_pinned_to_commits(hub: HubServer, tmp_path: Path) -> None:
    recipe = MergeRecipe(BASE, (DomainModel(f"hub:{MATH}", (0.8,)),))
    report = merge_to_folder(recipe, tmp_path / "out")
    names = tuple(f"hub:{name}@{commit(hub, name)}" for name in (BASE, MATH))
    assert report.sources == names
    written = load_recipe(tmp_path / "out" / "recipe.yaml")
    assert (written.base, written.models[0].model) == names
    assert report.recipe_hash == recipe_hash(written) != recipe_hash(recipe)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert f"base_model:\n- {BASE}\n- {MATH}\n" in card
    again = merge_to_folder(written, tmp_path / "again")
    assert again.sha256 == report.sha256


def test_the_domain_of_emr_is_pinned_with_its_model(hub: HubServer, tmp_path: Path) -> None:
    recipe = MergeRecipe(BASE, (DomainModel(MATH),), "emr", {"domain": MATH})
    report = merge_to_folder(recipe, tmp_path / "out")
    written = load_recipe(tmp_path / "out" / "recipe.yaml")
    assert written.parameters["domain"] == f"hub:{MATH}@{commit(hub, MATH)}" == report.sources[1]


def test_a_pinned_reference_asks_nobody(hub: HubServer) -> None:
    text = f"hub:{MATH}@{commit(hub, MATH)}"
    assert pinned(text) == text and pinned("zoo:base") == "zoo:base" and not hub.requests


def test_an_adapter_may_come_from_the_hub(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LOHA"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")
    at = hub.add("acme/adapter", folder)
    text = pinned(f"{BASE}+acme/adapter")
    assert text == f"hub:{BASE}@{commit(hub, BASE)}+hub:acme/adapter@{at}"
    with pytest.raises(NotAllowed, match="type 'LOHA'"):  # fetched and checked
        open_checkpoint(text)
    with pytest.raises(MissingCheckpoint, match="an adapter, not a model.*BASE.hub:acme/adapter"):
        open_checkpoint("acme/adapter")
    with pytest.raises(MissingCheckpoint, match="no adapter_config.json, so it is not a LoRA"):
        open_checkpoint(f"{BASE}+{MATH}")


def test_offline_what_is_here_is_used(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    open_checkpoint(MATH)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert open_checkpoint(MATH).folder.name == commit(hub, MATH)
    assert pinned(MATH) == f"hub:{MATH}@{commit(hub, MATH)}"
    with pytest.raises(Unreachable, match="not on this disk, and offline mode is on"):
        open_checkpoint(BASE)


def fails(text: str, error: type[DppaError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        open_checkpoint(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_hub_that_is_down_is_said_to_be(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.status = 503
    fails(BASE, Unreachable, r"the Hub does not answer \(status 503\)")
    hub.status = None
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    fails(BASE, Unreachable, "the Hub does not answer. No network")


def test_a_model_there_is_not(hub: HubServer) -> None:
    fails("acme/tiny-bse", MissingCheckpoint, "no folder of that name here and no such model")
    fails(f"{BASE}@v7", MissingCheckpoint, "no such branch, tag or commit")
    hub.models[BASE].gated = True
    fails(BASE, NotAllowed, f"terms accepted first.*https://huggingface.co/{BASE}")


@pytest.mark.parametrize(
    ("removed", "added", "message"),
    [
        ("model.safetensors", "model.pt", "neither model.safetensors nor.*It holds model.pt"),
        ("config.json", "x.txt", "no config.json. It holds model.safetensors"),
    ],
)
def test_a_model_without_what_is_needed_is_refused_before_any_download(
    hub: HubServer, removed: str, added: str, message: str
) -> None:
    (hub.models[BASE].folder / removed).rename(hub.models[BASE].folder / added)
    fails(BASE, MissingCheckpoint, message)
    assert hub.files() in (["config.json"], [])


def test_quantised_models_are_refused_before_any_download(hub: HubServer) -> None:
    folder = hub.models[BASE].folder
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "hqq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    fails(BASE, IncompatibleCheckpoints, r"HQQ, 4 bits.*merge, and quantise the result")
    assert set(hub.files()) == {"config.json"}
    for file in ("config.json", "model.safetensors"):  # repositories of GGUF files have neither
        (folder / file).rename(folder / f"{file}.gguf")
    fails(f"{BASE}@main", IncompatibleCheckpoints, r"holds config.json.gguf, weights of llama.cpp")


def test_a_model_in_bin_files_alone_is_fetched_and_read(hub: HubServer, tmp_path: Path) -> None:
    folder = hub.models[BASE].folder
    expected = open_checkpoint(str(folder))
    for shards in (1, 2):
        name = f"acme/pickled{shards}"
        pickled = save_pickled(random_llama(0), tmp_path / name, shards=shards)
        hub.add(name, pickled)
        fetched = open_checkpoint(name)
        assert fetched.names() == expected.names()
        for tensor in expected.names():
            np.testing.assert_array_equal(fetched.raw(tensor), expected.raw(tensor))
        assert {path.name for path in pickled.glob("pytorch*")} <= set(hub.files())
        before = len(hub.files())
        open_checkpoint(name)
        assert len(hub.files()) == before


def test_a_full_disk_is_found_before_the_download(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(hub_download.shutil, "disk_usage", lambda path: usage(1000))
    fails(BASE, OutOfBudget, "GB are to be fetched, .* has room for 0.0 GB")
    assert hub.files() == ["config.json"]


def test_an_index_that_points_elsewhere_fetches_nothing(hub: HubServer) -> None:
    index = hub.models[MATH].folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "../../secret.safetensors"}}))
    with pytest.raises(DppaError, match="not the name of a safetensors file in this folder"):
        open_checkpoint(MATH)


@pytest.mark.parametrize(
    "text",
    ["hub:", "hub:a/b/c", "hub:a--b/c", "hub:../etc", f"hub:{BASE}@", f"hub:{BASE}@../x",
     f"hub:{BASE}@a b", "hub:" + "x" * 100, "hub:a b"],
)  # fmt: skip
def test_what_the_hub_cannot_have_is_never_asked_for(hub: HubServer, text: str) -> None:
    if text.endswith("@"):
        assert ModelRef.parse(text).revision == ""
        return
    fails(text, InvalidValue, "is owner/name|is not a revision")
    assert not hub.requests


def test_a_public_page_asks_the_hub_for_nothing(hub: HubServer) -> None:
    for text in (BASE, f"hub:{BASE}", f"zoo:base+{BASE}"):
        with pytest.raises(NotAllowed, match="models of the Hub are not offered"):
            open_checkpoint(text, public=True)
        with pytest.raises(NotAllowed):
            pinned(text, public=True)
    assert not hub.requests


@pytest.mark.long
def test_the_variables_of_the_hub_are_honoured(hub: HubServer, tmp_path: Path) -> None:
    """In a subprocess: HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are read once."""
    command = [sys.executable, "-m", "dppa_core", "profile", MATH, "--base", BASE, "--json"]
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    results = [
        subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, **home, "HF_HUB_OFFLINE": offline},
        )
        for offline in ("1", "0", "1")
    ]  # fmt: skip
    assert [result.returncode for result in results] == [1, 0, 0]
    assert "offline mode is on" in results[0].stderr and results[0].stderr.count("\n") == 1
    assert results[1].stdout == results[2].stdout and not results[1].stderr
    assert (tmp_path / "home" / "hub").is_dir()
