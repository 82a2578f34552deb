"""Tasks of lm-evaluation-harness, from a file of our own, without a network."""

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

from dppa_core.errors import DamagedCheckpoint, InvalidValue, UnknownName
from dppa_core.evaluation import run as evaluate_more
from dppa_core.evaluation.lm_eval_harness import Harness, TaskResult
from dppa_core.evaluation.perplexity import Perplexity
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.answer_loss import Exchange, reply_logits, surprise
from dppa_core.models.decode import prompt_ids
from dppa_core.models.resident import Resident
from dppa_core.tasks.intervals import wilson
from tests.helpers.command import Command

FOLDER = Path("tests/harness")
pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "zoo_env"),
    # The package and what it imports warn of their own old parts.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)


def likeliest(resident: Resident, question: str, choices: list[str]) -> int:
    prompt = tuple(prompt_ids(resident, question))
    losses = []
    for choice in choices:
        reply = tuple(resident.tokenizer(choice, add_special_tokens=False)["input_ids"])
        with torch.inference_mode():
            loss = surprise(*reply_logits(resident.model, [Exchange(prompt, reply)]))
        losses.append(float(loss.sum()))
    return min(range(len(losses)), key=losses.__getitem__)


def test_a_task_of_ours_gets_the_numbers_of_a_plain_loop() -> None:
    resident = ModelPool().get("zoo:math")
    (found,) = Harness(["dppa_sums"], FOLDER).ask(resident)
    asked = [json.loads(line) for line in (FOLDER / "sums.jsonl").read_text().splitlines()]
    hits = tuple(
        float(likeliest(resident, one["question"], one["choices"]) == one["right"]) for one in asked
    )
    share = sum(hits) / len(hits)
    interval = wilson(int(sum(hits)), 6)
    assert found == TaskResult("dppa_sums", "acc", share, interval, 6, True, hits)


def test_the_command_asks_it_of_everybody(dppa: Command, tmp_path: Path) -> None:
    options = ["--lm-eval", "dppa_sums", "--lm-eval-tasks", FOLDER, "--limit", 2]
    text = tmp_path / "text.txt"
    text.write_text("The term is fair. " * 5)
    assert dppa("evaluate", "zoo:law", *options, "--text", text, "--json") == 0
    (row,) = dppa.json["lm_eval"]
    assert row["key"] == "zoo:law" and row["results"][0]["n"] == 2 and "each" not in row["results"]
    assert dppa.json["text"][0]["tokens"] == 89 and dppa.json["text"][0]["dtype"] == "float32"
    assert "domains" not in dppa.json
    assert dppa("evaluate", "zoo:law", *options, "--text", text) == 0
    assert "dppa_sums     acc" in dppa.out and "89" in dppa.out and not dppa.err


def test_what_was_asked_before_is_remembered_until_something_differs(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask, read = Harness.ask, evaluate_more.perplexity

    def counted(self: Harness, resident: Resident) -> tuple[TaskResult, ...]:
        asked.append("task")
        return ask(self, resident)

    def foreseen(*args: Any, **options: Any) -> Perplexity:
        asked.append("text")
        return read(*args, **options)

    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Harness, "ask", counted)
    monkeypatch.setattr(evaluate_more, "perplexity", foreseen)
    text, folder = tmp_path / "text.txt", tmp_path / "tasks"
    text.write_text("The term is fair. " * 5)
    shutil.copytree(FOLDER, folder)
    task, code = folder / "sums.yaml", folder / "sums_code.py"
    code.write_text("def right(doc):\n    return doc['right']\n")
    examples = "!function sums_code.right\nnum_fewshot: 1\nfewshot_split: test"
    task.write_text(task.read_text().replace("doc_to_target: right", f"doc_to_target: {examples}"))
    options = ["--lm-eval", "dppa_sums", "--lm-eval-tasks", folder, "--text", text]

    def told(*more: object) -> tuple[list[str], object]:
        asked.clear()
        assert dppa("evaluate", "zoo:law", *options, *more, "--json") == 0
        return list(asked), dppa.json

    first = told()
    assert first[0] == ["text", "task"]
    assert told() == ([], first[1])
    assert told("--fresh") == first
    assert told("--limit", 2)[0] == ["task"]
    assert told("--window", 64)[0] == ["text"]
    text.write_text("The term is unfair. " * 5)
    assert told()[0] == ["text"]
    code.write_text(code.read_text().replace("['right']", "['right'] * 1"))
    assert told()[0] == ["task"]


def test_what_cannot_be_asked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'dppa_sums'"):
        Harness(["dppa_sum"], FOLDER)
    with pytest.raises(InvalidValue, match="there is no folder of task files"):
        Harness(["dppa_sums"], tmp_path / "nowhere")
    task = (FOLDER / "sums.yaml").read_text().replace("tests/harness", "nowhere")
    (tmp_path / "sums.yaml").write_text(task)
    with pytest.raises(DamagedCheckpoint, match="lm-evaluation-harness fails at dppa_sums"):
        Harness(["dppa_sums"], tmp_path).ask(ModelPool().get("zoo:math"))
    monkeypatch.setattr("dppa_core.evaluation.lm_eval_harness.find_spec", lambda name: None)
    with pytest.raises(InvalidValue, match=r"pip install '.\[lm-eval\]'"):
        Harness(["dppa_sums"], FOLDER)
