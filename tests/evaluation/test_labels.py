"""Classifiers scored by labelled lines: hits counted by hand, no text written, bad labels named."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import Exam
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from dppa_core.tasks.intervals import accuracy
from dppa_core.tasks.item_files import own_domain
from tests.helpers.classifiers import LABELS, TEXTS, logits, save_classifiers, save_scored_llama
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")
WORDS = ("good", "bad", "film", "a", "not")
QUESTIONS = (*TEXTS, *(f"{one} {two}" for one in WORDS for two in WORDS))


@pytest.fixture(params=[save_classifiers, save_scored_llama], ids=["bert", "llama"])
def merge(request: pytest.FixtureRequest, tmp_path: Path) -> MergeRecipe:
    base, *tuned = request.param(tmp_path)
    return MergeRecipe(base, tuple(map(DomainModel, tuned)), "linear")


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Answers in turn, in another case, as a number's label or a choice."""
    rows = [{"question": text, "answer": LABELS[n % 3].upper()} for n, text in enumerate(QUESTIONS)]
    rows[0] |= {"choices": list(LABELS), "answer": "A"}
    path = tmp_path / "tones.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def by_hand(folder: Path) -> tuple[list[bool], list[float]]:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    scores = torch.cat([logits(model, folder, text) for text in QUESTIONS]).log_softmax(1)
    right = [n % 3 for n in range(len(QUESTIONS))]
    rows = enumerate(right)
    return (scores.argmax(1) == torch.tensor(right)).tolist(), [
        -float(scores[n, r]) for n, r in rows
    ]


def test_accuracy_is_a_hand_count_and_no_text_is_written(
    merge: MergeRecipe, lines: Path, dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelPool, "lend", None)  # what writes text
    merge_to_folder(merge, tmp_path / "out", sync=False)
    hits, losses = by_hand(tmp_path / "out")
    assert 0 < sum(hits) < len(hits)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(merge), "utf-8")
    command = ["evaluate", tmp_path / "recipe.yaml", "--items", lines, "--split", "all"]
    assert dppa(*command, "--alone", "--json") == 0
    score, expected = dppa.json["domains"]["tones"], accuracy(hits)
    assert (score["accuracy"], score["n"]) == (sum(hits) / len(hits), len(QUESTIONS))
    assert score["ci95"] == pytest.approx([expected.low, expected.high])
    assert score["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert dppa(*command, "--json") == 0
    rows = {row["key"]: row["domains"]["tones"]["accuracy"] for row in dppa.json["rows"]}
    for key, model in {
        "base": merge.base,
        **{one.model: one.model for one in merge.models},
    }.items():
        alone, _ = by_hand(Path(model))
        assert rows[key] == sum(alone) / len(alone)


def test_replies_are_labels_and_kept_with_their_configuration(lines: Path, tmp_path: Path) -> None:
    base, *_ = save_classifiers(tmp_path)
    exam, counts = Exam(base, own_domain(str(lines)), "all"), list[int]()
    marks = Examiner().marks(exam, progress=counts.append)
    assert set(marks.replies) <= set(LABELS) and counts[-1] == len(QUESTIONS)
    assert Examiner().cached_marks(exam) == marks == Examiner().marks(exam, progress=counts.clear)
    assert counts
    config = json.loads((Path(base) / "config.json").read_text())
    config["id2label"] = dict(enumerate(reversed(LABELS)))
    (Path(base) / "config.json").write_text(json.dumps(config))
    turned = Examiner().marks(exam)
    swap = dict(zip(LABELS, reversed(LABELS), strict=True))
    assert turned.replies == tuple(swap[reply] for reply in marks.replies)


@pytest.mark.parametrize(
    ("change", "answer", "words"),
    [
        ({}, "positiv", "'positiv': no label of {base}. Did you mean 'positive'? Allowed are "),
        ({}, "7", "'7': no label of {base}. Allowed are ['negative', 'positive', 'neutral']"),
        ({"problem_type": "multi_label_classification"}, "positive", "chooses no single label"),
        ({"id2label": {"0": "score"}}, "score", "chooses no single label of several (1 labels"),
    ],
)
def test_what_is_no_label_is_named_with_those_allowed(
    dppa: Command, tmp_path: Path, change: dict[str, object], answer: str, words: str
) -> None:
    base, *_ = save_classifiers(tmp_path)
    config = json.loads((Path(base) / "config.json").read_text()) | change
    (Path(base) / "config.json").write_text(json.dumps(config))
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "a film", "answer": answer}))
    assert dppa("evaluate", base, "--items", tmp_path / "q.jsonl", "--split", "all") == 1
    assert words.format(base=base) in dppa.err and dppa.err.count("\n") == 1


def test_what_a_classifier_cannot_do_is_said(dppa: Command, tmp_path: Path, lines: Path) -> None:
    base, *_ = save_classifiers(tmp_path)
    assert dppa("evaluate", base, "--items", lines, "--behaviour") == 1
    assert "a classifier writes no answers" in dppa.err
    assert dppa("evaluate", base, "--text", lines) == 1 and "no masked-language head" in dppa.err


def test_long_texts_are_cut_to_what_the_model_reads(tmp_path: Path, dppa: Command) -> None:
    base, *_ = save_classifiers(tmp_path)
    line = {"question": "a " * 900 + "film", "answer": "neutral"}  # of 512 positions
    (tmp_path / "q.jsonl").write_text(json.dumps(line))
    sizes = ["evaluate", base, "--items", tmp_path / "q.jsonl", "--split", "all", "--json"]
    assert dppa(*sizes) == 0 and dppa.json["domains"]["q"]["n"] == 1
