"""Failures of single weights: float16 overflows, a tied embedding merged twice, moved tokens.

Shown on models of a few numbers. The library refuses or repairs these failures; the unrepaired
result is computed here and labelled so. A copy of the math model gets the same fault and is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.in_memory import MemoryCheckpoint
from dppa_core.checkpoints.vocabulary.alignment import Alignment, align
from dppa_core.errors import IncompatibleCheckpoints, NonFiniteWeights
from dppa_core.merging.in_memory.merge_cache import MergeCache
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.merging.merger import TensorMerger
from dppa_core.models.generate import stream_reply
from dppa_core.models.reply import GenerationSettings
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tab.wishes import tab_wish
from dppa_core.tasks import score
from dppa_core.teaching.failures.case import (
    BAD,
    GOOD,
    PASSED,
    REFUSED,
    RIGHT,
    SILENT,
    WRONG,
    Bar,
    Bars,
    CaseAnswer,
    CaseTask,
    Message,
    ShownCase,
)
from dppa_core.teaching.failures.workshop import (
    BYTES,
    LONGEST,
    MODEL,
    item_of,
)


@dataclass(frozen=True, slots=True)
class Chat:
    """One question and the answers to it."""

    done: str
    """The change of the weights, in words; empty if none."""
    prompt: str
    answers: tuple[CaseAnswer, ...]
    outcome: str
    """One of `HOW_ANSWERED`, of the faulty model."""


NO_ANSWER = "(no answer)"
Spoil = Callable[[Any], str]
"""Changes a transformers model in memory, and returns the change in words."""


def spoken(task: CaseTask, spoil: Spoil) -> Chat:
    """Ask the math model one question, intact and with a fault."""
    resident = ModelPool(BYTES).get(MODEL, stop=task.stop)
    item = item_of(task.question)
    settings = GenerationSettings(max_new_tokens=LONGEST)

    def answer(who: str, change: str = "") -> CaseAnswer:
        try:
            replies = list(stream_reply(resident, item.prompt, settings, task.stop))
        except NonFiniteWeights as error:
            return CaseAnswer(who, f"{NO_ANSWER} {error}", right=False)
        reply = replies[-1] if replies else ""
        wish = None if change else tab_wish(MODEL)
        return CaseAnswer(who, reply or "(nothing: it ends at once)", score(item, reply), wish)

    sound = answer("math alone")
    with torch.no_grad():
        change = spoil(resident.model)
    merged = answer("the merge", change)
    outcome = RIGHT if merged.right else SILENT if merged.text.startswith(NO_ANSWER) else WRONG
    return Chat(change, item.prompt, (sound, merged), outcome)


def large_values(largest: float, dtype: torch.dtype) -> Spoil:
    """A fault: values in layer 0 as large as `largest`, stored as `dtype`.

    The next matrix is divided by the same factor, so that the scale alone changes no answer.
    """

    def spoil(model: Any) -> str:
        attention = model.model.layers[0].self_attn
        values, out = attention.v_proj.weight, attention.o_proj.weight
        scale = largest / float(values.abs().max())
        stored = (values.float() * scale).to(dtype)
        values.copy_(stored)
        out.div_(scale)
        many = int(torch.isinf(stored).sum())
        return f"{many} of {stored.numel():,} weights {'is' if many == 1 else 'are'} infinity."

    return spoil


def moved_rows(model: Any) -> str:
    """A fault: embedding rows from row 1 on are shifted by one, as if matched by number."""
    rows = model.get_input_embeddings().weight
    before = rows.clone()
    rows[2:] = before[1:-1]
    rows[1] = before.mean(dim=0)  # of the word that was added
    return f"{len(rows) - 1:,} of {len(rows):,} rows are another word's."


EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
LARGEST_HALF = 65504.0
"""The largest finite float16."""

_WEIGHT, _CHANGE, _FACTOR = 60000.0, 4000.0, 2.0


def overflow(task: CaseTask, repaired: bool) -> ShownCase:
    """60000 + 2 · 4000 as float16 or bfloat16, and a chat with the math model at such values."""
    exact = _WEIGHT + _FACTOR * _CHANGE
    kind = torch.bfloat16 if repaired else torch.float16
    chat = spoken(task, large_values(exact, kind))
    tensor = "model.layers.0.self_attn.q_proj.weight"
    weight = np.array([[_WEIGHT, 1.0], [2.0, 3.0]], np.float32)
    change = np.array([[_CHANGE, 1.0], [1.0, 1.0]], np.float32)
    cache = MergeCache()
    cache.models.put("base", MemoryCheckpoint({tensor: weight}, "F16"))
    cache.models.put("A", MemoryCheckpoint({tensor: weight + change}, "F16"))
    dtype = "bfloat16" if repaired else "float16"
    model = DomainModel("A", coefficient=_FACTOR)
    recipe = MergeRecipe("base", (model,), "task_arithmetic", dtype=dtype)
    bars = [
        Bar("base", _WEIGHT, f"{_WEIGHT:,.0f}"),
        Bar("domain model", _WEIGHT + _CHANGE, f"{_WEIGHT + _CHANGE:,.0f}"),
    ]
    try:
        code, _, raw = cache.merger(recipe).tensor(tensor)
    except NonFiniteWeights as error:
        half = float(from_float32(np.array([exact], np.float32), "F16")[0])
        spread = half - half  # what the next layer does with two such outputs
        bars.append(Bar("merge", exact, f"{exact:,.0f}, as float16 {_infinite(half)}", BAD))
        sentence = (
            f"{exact:,.0f} is {_infinite(half)} in float16. The library refuses. Without that the "
            f"weight would be {_infinite(half)}, the next sum {_infinite(half)} minus "
            f"{_infinite(half)} = {'NaN' if np.isnan(spread) else spread}, and nothing after it a "
            f"number. In the math model itself, {chat.done}"
        )
        messages = (Message("refusal", str(error)),)
        return ShownCase(
            sentence, chat.outcome, (_range(bars),), messages, chat.prompt, chat.answers
        )
    stored = float(to_float32(raw[:1], code)[0])
    bars.append(Bar("merge", exact, f"{stored:,.0f}", GOOD))
    sentence = (
        f"bfloat16 stores {exact:,.0f} as {stored:,.0f}: fewer digits, but far more room. In the "
        f"math model itself, {chat.done}"
    )
    return ShownCase(sentence, chat.outcome, (_range(bars),), (), chat.prompt, chat.answers)


def _infinite(value: float) -> str:
    return "infinity" if np.isinf(value) else f"{value:,.0f}"


def _range(bars: list[Bar]) -> Bars:
    mark = f"{LARGEST_HALF:,.0f}, the largest float16"
    return Bars("One weight, before and after", 75000.0, tuple(bars), LARGEST_HALF, mark)


def tied_weights() -> tuple[TensorMerger, Float32[ndarray, " n"], Float32[ndarray, " n"]]:
    """The merge, base values and delta of a model that stores its tied embedding twice."""
    weight = np.array([[0.5, -1.0], [2.0, 0.25]], np.float32)
    change = np.array([[0.25, 0.5], [-0.5, 0.125]], np.float32)
    both = {EMBEDDING: weight, HEAD: weight}
    cache = MergeCache()
    cache.models.put("base", MemoryCheckpoint(both))
    cache.models.put(
        "A", MemoryCheckpoint({name: values + change for name, values in both.items()})
    )
    recipe = MergeRecipe("base", (DomainModel("A"),), "task_arithmetic", dtype="float32")
    return cache.merger(recipe), weight.ravel(), change.ravel()


def _write_words(folder: Path, tokens: tuple[str, ...]) -> None:
    vocabulary = {token: row for row, token in enumerate(tokens)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": tokens[0]}
    text = json.dumps({"version": "1.0", "added_tokens": [], "model": model})
    (folder / "tokenizer.json").write_text(text, "utf-8")


_BASE_WORDS = ("<unk>", "cat", "dog", "seven")
_MODEL_WORDS = ("<unk>", "SELECT", "cat", "dog", "seven")
_ROWS = {
    "<unk>": (0.0, 0.1, 0.0),
    "cat": (1.0, 0.0, 0.2),
    "dog": (0.8, 0.3, 0.0),
    "seven": (-0.5, 1.0, 0.4),
    "SELECT": (0.0, -0.6, 0.9),
}
_LEARNED = 0.05
"""The change by training of every number of every row."""


class _WordModel(MemoryCheckpoint):
    """A checkpoint of a few rows in memory, with a tokenizer in a folder."""

    def __init__(self, folder: Path, words: tuple[str, ...], change: float) -> None:
        rows = np.array([_ROWS[word] for word in words], np.float32) + np.float32(change)
        super().__init__({EMBEDDING: rows})
        self.folder = folder
        self.folders = (folder,)


def vocabulary(task: CaseTask, repaired: bool) -> ShownCase:
    """One more word in the middle, with and without its tokenizer; a chat with moved rows."""
    home = task.workshop.room("words-repaired" if repaired else "words-broken")
    folders = [home / name for name in ("base", "model")]
    for folder, words in zip(folders, (_BASE_WORDS, _MODEL_WORDS), strict=True):
        folder.mkdir(exist_ok=True)
        if repaired or words is _BASE_WORDS:
            _write_words(folder, words)
    base = _WordModel(folders[0], _BASE_WORDS, 0.0)
    tuned = _WordModel(folders[1], _MODEL_WORDS, _LEARNED)
    base_rows, tuned_rows = (model.raw(EMBEDDING).reshape(-1, 3) for model in (base, tuned))
    by_row = np.linalg.norm(tuned_rows[: len(base_rows)] - base_rows, axis=1)
    chat = spoken(task, (lambda model: "") if repaired else moved_rows)
    try:
        aligned = align(base, (tuned,), ("the domain model",))
    except IncompatibleCheckpoints as error:
        worst = int(by_row.argmax())
        sentence = (
            "The library refuses: it cannot tell which row is which word. Without that, row "
            f"{worst} would be “{_MODEL_WORDS[worst]}” minus “{_BASE_WORDS[worst]}”, a change of "
            f"{by_row[worst]:.2f}. Training changed each row by {_LEARNED * 3**0.5:.2f}. In the "
            f"math model itself, {chat.done}"
        )
        rows = _word_rows(by_row, _MODEL_WORDS)
        bars = _word_bars("Change of each row, matched by number", by_row, BAD)
        messages = (Message("refusal", str(error)),)
        case = ShownCase(sentence, REFUSED, (bars,), messages, columns=_COLUMNS, rows=rows)
    else:
        case = _matched(aligned, base_rows)
    return replace(case, prompt=chat.prompt, answers=chat.answers)


_COLUMNS = ("row", "word of the base", "word it is compared with", "length of the change")


def _matched(aligned: Alignment, base_rows: ndarray) -> ShownCase:
    tuned_rows = to_float32(aligned.tuned[0].raw(EMBEDDING), aligned.tuned[0].dtype(EMBEDDING))
    by_word = np.linalg.norm(tuned_rows.reshape(-1, 3) - base_rows, axis=1)
    sentence = f"Matched by word, every row changed by {by_word.max():.2f}, as training left it."
    messages = tuple(Message("note", note) for note in aligned.notes)
    bars = _word_bars("Change of each row, matched by word", by_word, GOOD)
    rows = _word_rows(by_word, _BASE_WORDS)
    return ShownCase(sentence, PASSED, (bars,), messages, rows=rows, columns=_COLUMNS)


def _word_bars(title: str, lengths: ndarray, tone: str) -> Bars:
    small = 2 * _LEARNED
    bars = (
        Bar(word, float(length), f"{length:.2f}", tone if length > small or tone == GOOD else GOOD)
        for word, length in zip(_BASE_WORDS, lengths.tolist(), strict=True)
    )
    return Bars(title, 1.6, tuple(bars))


def _word_rows(lengths: ndarray, words: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(row), word, words[row], f"{lengths[row]:.2f}") for row, word in enumerate(_BASE_WORDS)
    )
