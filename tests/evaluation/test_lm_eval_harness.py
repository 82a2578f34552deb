"""Tasks of lm-evaluation-harness, from a file of our own, without a network."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import datasets
import lm_eval.utils
import pytest
import torch

from dppa_core.errors import (
    Cancelled,
    DamagedCheckpoint,
    InvalidValue,
    NotAllowed,
    UnknownName,
    Unreachable,
)
from dppa_core.evaluation import entrant_measurements
from dppa_core.evaluation.lm_eval_harness import Harness, TaskResult
from dppa_core.evaluation.perplexity import Perplexity
from dppa_core.merging.in_memory.device_map_pool import SpreadModelPool
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
    (result,) = Harness(["dppa_sums"], FOLDER).ask(resident)
    items = [json.loads(line) for line in (FOLDER / "sums.jsonl").read_text().splitlines()]
    hits = tuple(
        float(likeliest(resident, item["question"], item["choices"]) == item["right"])
        for item in items
    )
    share = sum(hits) / len(hits)
    interval = wilson(int(sum(hits)), 6)
    assert result == TaskResult("dppa_sums", "acc", share, interval, 6, True, hits)


def test_a_model_on_disk_answers_as_one_in_memory() -> None:
    harness = Harness(["dppa_sums"], FOLDER, 3)
    with SpreadModelPool("auto", "float32", {"cpu": 1_000}).lend("zoo:math") as spread:
        assert spread.model.hf_device_map == {"": "disk"}
        assert harness.ask(spread) == harness.ask(ModelPool().get("zoo:math"))


def test_the_command_asks_it_of_everybody(dppa: Command, tmp_path: Path) -> None:
    options = ["--lm-eval", "dppa_sums", "--lm-eval-tasks", FOLDER, "--limit", 2]
    text = tmp_path / "text.txt"
    text.write_text("The term is fair. " * 5)
    assert dppa("evaluate", "zoo:law", *options, "--text", text, "--json") == 0
    (row,) = dppa.json["lm_eval"]
    (result,) = row["results"]
    assert row["key"] == "zoo:law" and result["n"] == 2 and "documents" not in result
    assert dppa.json["text"][0]["tokens"] == 88 and dppa.json["text"][0]["dtype"] == "float32"
    assert "domains" not in dppa.json
    assert dppa("evaluate", "zoo:law", *options, "--text", text) == 0
    assert "dppa_sums     acc" in dppa.out and "88" in dppa.out and not dppa.err


def test_the_terminal_shows_the_requests_as_they_are_answered(
    dppa: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    options = ["--lm-eval", "dppa_sums", "--lm-eval-tasks", FOLDER, "--limit", 1]
    assert dppa("evaluate", "zoo:law", *options, "--fresh") == 0
    drawn = dppa.err.split("\r\x1b[K")
    counts = [line for line in drawn if line.partition(",")[0].endswith("answered")]
    (item,) = (FOLDER / "sums.jsonl").read_text().splitlines()[:1]
    assert len(counts) == len(json.loads(item)["choices"])
    assert "1 request answered" in counts[0]
    assert all(line.startswith("0/1 ") for line in counts)  # and not the package's own bars


def test_what_was_asked_before_is_remembered_until_something_differs(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    ask, read = Harness.ask, entrant_measurements.perplexity

    def counted(self: Harness, *arguments: Any) -> tuple[TaskResult, ...]:
        calls.append("task")
        return ask(self, *arguments)

    def foreseen(*args: Any, **options: Any) -> Perplexity:
        calls.append("text")
        return read(*args, **options)

    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Harness, "ask", counted)
    monkeypatch.setattr(entrant_measurements, "perplexity", foreseen)
    text, folder = tmp_path / "text.txt", tmp_path / "tasks"
    text.write_text("The term is fair. " * 5)
    shutil.copytree(FOLDER, folder)
    task, code = folder / "sums.yaml", folder / "sums_code.py"
    code.write_text("def right(doc):\n    return doc['right']\n")
    examples = "!function sums_code.right\nnum_fewshot: 1\nfewshot_split: test"
    task.write_text(task.read_text().replace("doc_to_target: right", f"doc_to_target: {examples}"))
    options = ["--lm-eval", "dppa_sums", "--lm-eval-tasks", folder, "--text", text]

    def evaluated(*more: object) -> tuple[list[str], object]:
        calls.clear()
        assert dppa("evaluate", "zoo:law", *options, *more, "--json") == 0
        return list(calls), dppa.json

    first = evaluated()
    assert first[0] == ["text", "task"]
    assert evaluated() == ([], first[1])
    assert evaluated("--fresh") == first
    assert evaluated("--limit", 2)[0] == ["task"]
    assert evaluated("--window", 64)[0] == ["text"]
    text.write_text("The term is unfair. " * 5)
    assert evaluated()[0] == ["text"]
    code.write_text(code.read_text().replace("['right']", "['right'] * 1"))
    assert evaluated()[0] == ["task"]


def test_what_cannot_be_asked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'dppa_sums'"):
        Harness(["dppa_sum"], FOLDER)
    with pytest.raises(InvalidValue, match="there is no folder of task files"):
        Harness(["dppa_sums"], tmp_path / "nowhere")
    task = (FOLDER / "sums.yaml").read_text().replace("tests/harness", "nowhere")
    (tmp_path / "sums.yaml").write_text(task)
    with pytest.raises(DamagedCheckpoint, match="lm-evaluation-harness fails at dppa_sums"):
        Harness(["dppa_sums"], tmp_path).ask(ModelPool().get("zoo:math"))
    for name, folder in (("dppa_sum", tmp_path), ("dppa_sums", tmp_path / "nowhere")):
        with pytest.raises((UnknownName, InvalidValue)) as refused:
            Harness([name], folder, public=True)
        assert str(tmp_path) not in str(refused.value)
    monkeypatch.setattr("dppa_core.evaluation.harness_tasks.find_spec", lambda name: None)
    with pytest.raises(InvalidValue, match=r"pip install '.\[lm-eval\]'"):
        Harness(["dppa_sums"], FOLDER)


PAPER = {
    ("AdaptLLM/finance-tasks", "FPB"): "sentiment",
    ("AdaptLLM/finance-tasks", "FiQA_SA"): "sentiment",
    ("coastalcph/lex_glue", "case_hold"): "case_hold",
}
"""(data set, part of it) -> a file of two made-up questions with its columns."""


def test_the_papers_tasks_ask_their_data_sets_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    load = datasets.load_dataset

    def sample(path: str, name: str) -> Any:
        files = {"test": str(FOLDER / "paper" / f"{PAPER[path, name]}.jsonl")}
        return load("json", data_files=files)

    monkeypatch.setattr(datasets, "load_dataset", sample)
    names = ("fpb", "fiqa", "casehold")
    harness = Harness(names, public=True)
    tasks = harness._loaded()["tasks"]
    for name, rights in zip(names, ((0, 2), (0, 2), (0, 1)), strict=True):
        docs = list(tasks[name].eval_docs)
        assert tuple(tasks[name].doc_to_target(doc) for doc in docs) == rights
        text, choices = tasks[name].doc_to_text(docs[0]), tasks[name].doc_to_choice(docs[0])
        if name == "casehold":
            assert text.startswith("Complete the following excerpt from a US court opinion:\nThe ")
            assert len(choices) == 5
        else:
            assert text == docs[0]["input"] and choices == ["Positive", "Negative", "Neutral"]
    counts: list[int] = []
    results = harness.ask(ModelPool().get("zoo:law"), counts.append)
    metrics = [("fpb", "acc"), ("fiqa", "acc"), ("casehold", "acc"), ("casehold", "acc_norm")]
    assert [(result.task, result.metric) for result in results] == metrics
    assert {result.n for result in results} == {2}
    assert counts == list(range(1, 2 * (3 + 3 + 5) + 1))


def write_task(folder: Path, *changes: tuple[str, str], more: str = "") -> Path:
    """The task of ours in a folder, with some of its text replaced and some added."""
    text = (FOLDER / "sums.yaml").read_text()
    for before, after in changes:
        text = text.replace(before, after)
    (folder / "sums.yaml").write_text(text + more)
    return folder


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("doc_to_target: right", "doc_to_target: !function code.right", "names code"),
        ("metric: acc", "metric: rouge", "a metric that may run code, rouge"),
        ("higher_is_better: true", "hf_evaluate: true", "a metric that may run code, acc"),
        ("task: dppa_sums", "task: dppa_sums\nunsafe_code: true", "has the key unsafe_code"),
        ("task: dppa_sums", "task: dppa_sums\nclass: !function code.Task", "names code"),
        ("task: dppa_sums", "task: dppa_sums\ncustom_dataset: code.load", "the key custom_dataset"),
        ("task: dppa_sums", "task: dppa_sums\ninclude: other.yaml", "other.yaml names code"),
    ],
)
def test_a_public_page_runs_no_code_of_a_task(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    (tmp_path / "other.yaml").write_text("process_docs: !function code.ran\n")
    (tmp_path / "code.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(NotAllowed, match=f"'dppa_sums' cannot be asked on a public page: .*{says}"):
        Harness(["dppa_sums"], write_task(tmp_path, (before, after)), public=True)


@pytest.mark.parametrize("key", ["doc_to_text", "doc_to_target", "doc_to_choice", "description"])
def test_a_template_of_a_public_page_reaches_no_code(tmp_path: Path, key: str) -> None:
    code = "{{ cycler.__init__.__globals__.os.mkdir('ran') }}"
    lines = (FOLDER / "sums.yaml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{key}:")]
    ran, task = tmp_path / "ran", "\n".join([*kept, f'{key}: "{code}"'])
    (tmp_path / "sums.yaml").write_text(task.replace("'ran'", f"'{ran}'"))
    usual = lm_eval.utils.env
    with pytest.raises(NotAllowed, match="task dppa_sums cannot .*a template reaches for code"):
        Harness(["dppa_sums"], tmp_path, public=True).ask(ModelPool().get("zoo:math"))
    assert lm_eval.utils.env is usual and not ran.exists()


def test_a_public_page_asks_a_task_without_code_and_no_group(tmp_path: Path) -> None:
    assert Harness(["dppa_sums"], FOLDER, public=True).names == ("dppa_sums",)
    write_task(tmp_path, more="tag: all_sums\n")
    (tmp_path / "group.yaml").write_text("group: sums\ntask: [dppa_sums]\n")
    for name in ("all_sums", "sums"):
        with pytest.raises(NotAllowed, match=f"'{name}' cannot be asked on a public page"):
            Harness([name], tmp_path, public=True)


def test_asking_stops_between_two_tokens(tmp_path: Path) -> None:
    writes = ("output_type: multiple_choice", "output_type: generate_until")
    options = "generation_kwargs: {until: [zzz], max_gen_toks: 40}\n"
    changes = (writes, ("doc_to_choice: choices\n", ""), ("metric: acc", "metric: exact_match"))
    harness = Harness(["dppa_sums"], write_task(tmp_path, *changes, more=options), 2)
    stop, resident, tokens = threading.Event(), ModelPool().get("zoo:math"), list[None]()

    def count(_module: Any, _inputs: Any) -> None:
        tokens.append(None)
        if len(tokens) == 3:
            stop.set()

    with resident.model.register_forward_pre_hook(count), pytest.raises(Cancelled):
        harness.ask(resident, stop=stop)
    assert len(tokens) == 3
    with pytest.raises(Cancelled):  # and before a batch of choices
        Harness(["dppa_sums"], FOLDER).ask(resident, stop=stop)


def test_data_that_cannot_be_fetched_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**_options: Any) -> Any:
        raise ConnectionError("Couldn't reach 'AdaptLLM/finance-tasks' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", absent)
    with pytest.raises(Unreachable, match="fpb: the questions have to be fetched from the Hugging"):
        Harness(["fpb"]).content()
