"""Searches judged by a vLLM server: a stand-in of it, which no GPU computes."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.errors import NonFiniteWeights
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.evaluation.vllm import server as http
from dppa_core.evaluation.vllm.judge import vllm_judge
from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from dppa_core.tasks import items
from tests.helpers.command import Command
from tests.helpers.tiny_models import random_llama, tuned_llama
from tests.helpers.vllm_server import Answer, VllmServer, vllm_server

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    # peft (0.21) asks transformers (5.24) by an old name
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
BASE = Path(__file__).resolve().parents[2] / "assets" / "zoo" / "base"
GRID = ("--grid", "coefficient.law=0.2,0.5,0.8,1.1", "--grid", "coefficient.math=0.2,0.6,1.0")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of two adapters of the embedded base, `math` and `law`, beside it."""
    folder, models = tmp_path_factory.mktemp("adapters"), []
    for name in ("math", "law"):  # the last one is the model of a domain
        whole = MergeRecipe(str(BASE), (DomainModel(str(BASE.parent / name)),), "task_arithmetic")
        merge_to_lora(whole, folder / name, rank=24)
        models.append(DomainModel(f"{BASE}+{folder / name}"))
    recipe = MergeRecipe(str(BASE), tuple(models), "task_arithmetic", dtype="float32")
    (folder / "r.yaml").write_text(dump_recipe(recipe))
    asked = [item for item in items("law", "search", 18) if item.task == "fairness"]
    rows = [{"question": item.prompt, "answer": item.answer} for item in asked]
    lines = map(json.dumps, [{"scorer": "exact", "tokens": 8}, *rows])
    (folder / "terms.jsonl").write_text("\n".join(lines))
    return folder / "r.yaml"


@pytest.fixture
def tiny(tmp_path: Path) -> MergeRecipe:
    """A recipe of a whole fine-tune: no sum of adapters."""
    base = random_llama(0)
    tuned = tuned_llama(base, 1).save(tmp_path / "tuned", dtype="F32")
    models = (DomainModel(str(tuned)),)
    return MergeRecipe(str(base.save(tmp_path / "base", dtype="F32")), models, "task_arithmetic")


@pytest.fixture
def served(tiny: MergeRecipe) -> Iterator[VllmServer]:
    with vllm_server(Path(tiny.base)) as server:
        yield server


def test_a_search_ranks_twelve_merges_of_adapters_as_in_memory(
    adapters: Path, dppa: Command, tmp_path: Path
) -> None:
    terms = ("--items", adapters.with_name("terms.jsonl"))
    options = (*terms, *GRID, "--test-limit", 0, "--json")
    dppa("search", adapters, "--out", tmp_path / "here.yaml", *options)
    here = dppa.json
    shared = tmp_path / "shared"
    shared.mkdir()
    with vllm_server(BASE, max_lora_rank=64) as server:
        judge = ("--judge", server.address, "--judge-folder", shared)
        dppa("search", adapters, "--out", tmp_path / "there.yaml", *options, *judge)
        there = dppa.json
        assert not server.adapters and not list(shared.iterdir())
        names = [body["lora_name"] for route, body in server.calls if route == "load_lora_adapter"]
    assert len(here["trials"]) == 12 and len({tuple(t["goals"]) for t in here["trials"]}) > 2
    for key in ("trials", "best", "front"):
        assert there[key] == here[key]
    assert (tmp_path / "there.yaml").read_bytes() == (tmp_path / "here.yaml").read_bytes()
    assert there["judge"]["left_out"] == [0.0, 0.0] and len(names) == len(set(names)) >= 13


def exam(target: str | MergeRecipe) -> Exam:
    return Exam(target, "law", "search", 2, behaviour=True)


def assert_same(score: DomainScore, expected: DomainScore, within: float = 1e-5) -> None:
    assert score.loss is not None and score.loss == pytest.approx(expected.loss, rel=within)
    assert (score.hits, score.behaviour) == (expected.hits, expected.behaviour)


def test_a_whole_fine_tune_is_asked_as_its_decomposition_and_the_rest_is_told(
    tiny: MergeRecipe, served: VllmServer, tmp_path: Path
) -> None:
    with vllm_judge(tiny, served.address, 4) as judge:
        judged, at_base = judge.score(exam(tiny)), judge.score(exam(tiny.base))
        without = replace(tiny.models[0], coefficient=0.0)
        assert judge.score(exam(replace(tiny, models=(without,)))) == at_base
        assert not served.adapters
        sentence, facts = judge.sentence(), judge.to_json(tiny)
    about = merge_to_lora(tiny, tmp_path / "rank4", rank=4)
    share = math.sqrt(1 - about.energy)
    assert 0.1 < share < 1 and facts["left_out"] == [share, share] and facts["rank"] == 4
    assert "not exactly" in sentence and f"leave out {100 * share:.2g} %" in sentence
    examiner = Examiner(keep=False)
    assert_same(judged, examiner.score(exam(f"{tiny.base}+{tmp_path / 'rank4'}")), 1e-3)
    assert_same(at_base, examiner.score(exam(tiny.base)))
    asked = [body for route, body in served.calls if route == "completions"]
    assert {body["repetition_penalty"] for body in asked} == {1.0}  # whatever the model's own are


def test_the_adapter_goes_whatever_ends_the_search(
    tiny: MergeRecipe, served: VllmServer, tmp_path: Path
) -> None:
    for end in (KeyboardInterrupt, NonFiniteWeights):
        with pytest.raises(end), vllm_judge(tiny, served.address, 2, tmp_path) as judge:
            judge.score(exam(tiny))
            assert len(served.adapters) == 1 and list(tmp_path.glob("dppa-judge-*/*/*.json"))
            raise end
        assert not served.adapters and not list(tmp_path.glob("dppa-judge-*"))


def late() -> Answer:
    time.sleep(0.5)
    return 200, {}


COMPLETION = {"index": 0, "token_ids": [5], "prompt_logprobs": [None]}
FAULTS: dict[str, tuple[str, Callable[[], Answer], str]] = {
    "full": ("completions", lambda: (500, b"out of\nmemory"), "status 500: out of memory"),
    "no JSON": ("completions", lambda: (200, b"<html>"), "does not answer as vLLM does"),
    "no list": ("models", lambda: (200, []), "does not answer as vLLM does"),
    "no tokens": (
        "completions",
        lambda: (200, {"choices": [{**COMPLETION, "token_ids": None}]}),
        "from version 0.10.2",
    ),
    "no losses": ("completions", lambda: (200, {"choices": [COMPLETION]}), "prompt_logprobs"),
    "late": ("completions", late, "did not answer for 0.2 seconds"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_that_are_none_of_vllm_end_in_one_line(
    tiny: MergeRecipe, served: VllmServer, tmp_path: Path, fault: str, dppa: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(http, "SECONDS", 0.2 if fault == "late" else 30.0)
    route, answer, text = FAULTS[fault]
    served.faults[route] = answer
    fails(dppa, tiny, tmp_path, text, "--judge", served.address)
    assert not served.adapters


def fails(dppa: Command, recipe: MergeRecipe, folder: Path, text: str, *options: object) -> None:
    """`dppa search` says one line with the text, and leaves nothing."""
    (folder / "r.yaml").write_text(dump_recipe(recipe))
    varied = ("--tasks", "law", "--vary", "coefficient=0.5:1", "--trials", 1, "--test-limit", 0)
    options += ("--judge-folder", folder) if "--judge" in options else ()
    out = ("--out", folder / "best.yaml", "--study", folder / "s.db")
    assert dppa("search", folder / "r.yaml", *out, *varied, *options, "--json") == 1
    assert dppa.err.count("\n") == 1 and text in dppa.err, dppa.err
    assert not list(folder.glob("dppa-judge-*")) and not (folder / "best.yaml").exists()


def test_a_server_that_cannot_judge_is_told_how_to_start(
    tiny: MergeRecipe, tmp_path: Path, dppa: Command
) -> None:
    base = Path(tiny.base)
    start = f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {base} --enable-lora --max-lora-rank"
    with vllm_server(base, max_lora_rank=8, runtime_updating=False) as server:
        address = server.address
        fails(dppa, tiny, tmp_path, f"with: {start} 16", "--judge", address)
        server.runtime_updating = True
        rank = ("--judge-rank", 20)
        fails(dppa, tiny, tmp_path, "max_lora_rank 8. Give a smaller", "--judge", address, *rank)
        assert f"{start} 32" in dppa.err
        server.name = "another/model"
        fails(dppa, tiny, tmp_path, "'another/model', not the base", "--judge", address)
    fails(dppa, tiny, tmp_path, f"No vLLM server answers at {address}", "--judge", address)
    assert f"{start} 16" in dppa.err


def test_a_folder_out_of_the_server_s_sight_is_told(
    tiny: MergeRecipe, served: VllmServer, tmp_path: Path, dppa: Command
) -> None:
    unseen = (404, {"error": {"message": "Loading lora x failed: No adapter found for /y"}})
    served.faults["load_lora_adapter"] = lambda: unseen
    fails(dppa, tiny, tmp_path, "--judge-folder", "--judge", served.address)


def test_options_that_do_not_go_together(tiny: MergeRecipe, tmp_path: Path, dppa: Command) -> None:
    judge = ("--judge", "http://127.0.0.1:9")
    kl = ("--objective", "retention", "--objective", "kl")
    fails(dppa, tiny, tmp_path, "compares whole distributions", *judge, *kl)
    fails(dppa, tiny, tmp_path, "either --ray or --judge", *judge, "--ray", "local")
    fails(dppa, tiny, tmp_path, "go with --judge", "--judge-rank", 8)
    fails(dppa, tiny, tmp_path, "http://HOST:8000, got 'gpu:8000'", "--judge", "gpu:8000")
    for address in ("http://[x", "http://127.0.0.1:port"):
        fails(dppa, tiny, tmp_path, f"No vLLM server answers at {address}", "--judge", address)


def test_a_search_that_was_judged_goes_on_with_its_judge_only(
    adapters: Path, dppa: Command, tmp_path: Path
) -> None:
    search = ("search", adapters, "--out", tmp_path / "b.yaml", "--tasks", "law,law", "--limit", 2)
    search += ("--vary", "coefficient=0.5:1", "--trials", 1, "--test-limit", 0, "--overwrite")
    assert dppa(*search) == 0
    with vllm_server(BASE, max_lora_rank=64) as server:
        assert dppa(*search, "--judge", server.address) == 1
    assert "another search (judge" in dppa.err
