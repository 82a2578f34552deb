"""`dppa evaluate --judge`: a stand-in for a vLLM server answers, which no GPU computes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.helpers.vllm_server import VllmServer, vllm_server

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    # peft (0.21) asks transformers (5.24) by an old name
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
ASKED = ("--tasks", "math,law", "--limit", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a fine-tune, two adapters, and a recipe of these."""
    folder, base, models = tmp_path_factory.mktemp("judged"), random_llama(0), []
    base.save(folder / "base", dtype="F32")
    tuned_llama(base, 1).save(folder / "tuned", dtype="F32")
    for rank in (2, 3):
        whole = DomainModel(str(folder / "tuned"))
        recipe = MergeRecipe(str(folder / "base"), (whole,), "task_arithmetic")
        merge_to_lora(recipe, folder / f"rank{rank}", rank=rank)
        models.append(DomainModel(f"{folder / 'base'}+{folder / f'rank{rank}'}"))
    recipe = replace(recipe, models=tuple(models), dtype="float32")
    (folder / "r.yaml").write_text(dump_recipe(recipe))
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[VllmServer]:
    with vllm_server(folder / "base") as server:
        yield server


def loads(server: VllmServer) -> int:
    return sum(route == "load_lora_adapter" for route, _ in server.calls)


def figures(value: dict[str, Any]) -> list[Any]:
    """All scores of an evaluation."""
    rows = value["rows"] if "rows" in value else [value]
    cells = [cell for row in rows for cell in row["domains"].values()]
    return [
        (cell["accuracy"], pytest.approx(cell["loss"], rel=1e-4), cell["n"], cell["tasks"])
        for cell in cells
    ]


def assert_as_in_memory(dppa: Command, server: VllmServer, target: object, *options: Any) -> None:
    """The server gives the scores of this process, and is left without an adapter."""
    command = ("evaluate", target, *ASKED, *options, "--json")
    assert dppa(*command) == 0, dppa.err
    here = dppa.json
    assert dppa(*command, "--judge", server.address) == 0, dppa.err
    assert figures(dppa.json) == figures(here) and not server.adapters
    assert {*dppa.json} - {*here} == {"judge"} and {*here} <= {*dppa.json}


def test_a_recipe_beside_its_models_scores_as_in_memory(
    folder: Path, server: VllmServer, dppa: Command
) -> None:
    second = folder / "second.yaml"
    second.write_text((folder / "r.yaml").read_text().replace("seed: 0", "seed: 1"))
    shared = ("--judge-folder", folder)
    assert_as_in_memory(dppa, server, folder / "r.yaml", "--against", second)
    assert dppa.json["judge"]["left_out"] == [0.0, 0.0] and loads(server) == 6
    assert dppa("evaluate", folder / "r.yaml", *ASKED, *shared, "--judge", server.address) == 0
    assert dppa.out.endswith("vLLM judges 4 models and merges: exactly, as adapters.\n")
    assert not list(folder.glob("dppa-judge-*"))


def test_a_recipe_or_an_adapter_scores_alone(
    folder: Path, server: VllmServer, dppa: Command
) -> None:
    assert_as_in_memory(dppa, server, folder / "r.yaml", "--alone")
    assert_as_in_memory(dppa, server, f"{folder / 'base'}+{folder / 'rank2'}")
    assert loads(server) == 2 and dppa.json["judge"]["left_out_of_recipe"] == 0


def test_the_base_is_asked_as_it_is(folder: Path, server: VllmServer, dppa: Command) -> None:
    assert_as_in_memory(dppa, server, folder / "base")
    assert loads(server) == 0


def test_a_fine_tune_is_sent_as_its_change_from_what_the_server_has(
    folder: Path, server: VllmServer, dppa: Command
) -> None:
    command = ("evaluate", folder / "tuned", *ASKED, "--judge", server.address)
    assert dppa(*command, "--judge-rank", 2, "--json") == 0, dppa.err
    judged = dppa.json
    assert 0 < judged["judge"]["left_out_of_recipe"] < 1 and judged["judge"]["rank"] == 2
    assert dppa("evaluate", f"{folder / 'base'}+{folder / 'rank2'}", *ASKED, "--json") == 0
    assert figures(judged) == figures(dppa.json)
    assert dppa(*command) == 0 and "not exactly: as adapters of rank 16" in dppa.out
    server.name = "an/other"
    assert dppa(*command) == 1 and "'an/other', and the base of" in dppa.err


def test_behaviour_is_measured_but_for_the_distance(
    folder: Path, server: VllmServer, dppa: Command
) -> None:
    command = ("evaluate", folder / "r.yaml", "--alone", *ASKED, "--behaviour")
    assert dppa(*command, "--json") == 0
    here = [cell["behaviour"] for cell in dppa.json["domains"].values()]
    assert dppa(*command, "--judge", server.address, "--json") == 0
    judged = [cell["behaviour"] for cell in dppa.json["domains"].values()]
    assert judged == [{**behaviour, "kl": None} for behaviour in here]
    assert dppa(*command, "--judge", server.address) == 0
    assert "which a vLLM server does not send" in dppa.out and "KL(model" not in dppa.out


def test_a_server_that_cannot_judge_is_told_as_in_a_search(
    folder: Path, server: VllmServer, dppa: Command
) -> None:
    def fails(text: str, *options: object, target: object = folder / "r.yaml") -> None:
        assert dppa("evaluate", target, *ASKED, *options) in (1, 2)
        assert text in " ".join(dppa.err.split()), dppa.err

    judge = ("--judge", server.address)
    start = f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {folder / 'base'} --enable-lora"
    for option in ("--text", "--pairs", "--lm-eval", "--device-map"):
        fails(f"leave {option} or --judge out", option, "auto", *judge)
    fails("leave --one-more, --dtype or --judge out", *judge, "--one-more", "--dtype", "bfloat16")
    fails("--judge-rank and --judge-folder go with --judge.", "--judge-rank", 8)
    fails("http://HOST:8000, got 'gpu:8000'", "--judge", "gpu:8000")
    recipe = (folder / "r.yaml").read_text()
    for name, base, text in (
        ("moved", folder / "tuned", f"and the server's is {folder / 'base'}"),
        ("on_adapter", f"{folder / 'base'}+{folder / 'rank2'}", "no whole model"),
    ):
        other = folder / f"{name}.yaml"
        other.write_text(recipe.replace(f"base: {folder / 'base'}\n", f"base: {base}\n"))
        if name == "moved":
            fails(text, *judge, "--against", other)
            fails(f"not the base {base}", *judge, target=other)
        else:
            fails(text, *judge, target=other)
    server.runtime_updating = False
    fails(f"takes no adapters while it runs. Start vLLM with: {start} --max", *judge)
    server.name = "another/model"
    fails(f"'another/model', not the base {folder / 'base'}. Start vLLM with: {start}", *judge)
    fails("not the base zoo:base", *judge, target="zoo:math")
    fails("No vLLM server answers at http://127.0.0.1:9 ", "--judge", "http://127.0.0.1:9")
