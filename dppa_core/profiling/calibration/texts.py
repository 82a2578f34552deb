"""Calibration text: from tasks or a file to samples of token ids.

A hash identifies a text before any tokenizer is loaded.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.model_files import within_roots
from dppa_core.checkpoints.vocabulary.render import OF_ANOTHER, rendered_chat
from dppa_core.errors import DamagedCheckpoint, InvalidValue, shown
from dppa_core.progress import Stop
from dppa_core.recipes.calibration import Calibration
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.regular_files import read_regular
from dppa_core.tasks import draw_items

_BYTES_A_TOKEN = 64
"""Bytes read per token: no token of a common vocabulary is that long."""
_TOKENS_AN_ITEM = 8
"""Every question with its answer has more."""


@dataclass(frozen=True, slots=True)
class CalibrationText:
    """The text of a calibration."""

    turns: tuple[tuple[str, str], ...]
    """Questions with their answers; or one pair of an empty text and a running text."""
    tokens: int
    digest: str
    """Equal for the same text and number of tokens."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One text a model reads by itself."""

    ids: tuple[int, ...]
    learned: int
    """Index of the first token whose likelihood counts, at least 1: the answer's, if it has one."""


def read_source(calibration: Calibration, stop: Stop | None = None) -> CalibrationText:
    """The text that a calibration names.

    Raises:
        InvalidValue: the file is missing, not a regular one, empty, or no text.
        NotAllowed: a file outside the folders of `DPPA_ROOTS`.
        Cancelled: stopped.
    """
    if calibration.text:
        turns: tuple[tuple[str, str], ...] = (("", _read_file(calibration, stop)),)
    else:
        turns = tuple(islice(_questions(calibration), -(-calibration.tokens // _TOKENS_AN_ITEM)))
    digest = hashlib.sha256(f"{calibration.tokens}".encode())
    for turn in turns:
        for part in turn:
            digest.update(f"{len(part)}\0{part}".encode())
    return CalibrationText(turns, calibration.tokens, digest.hexdigest())


def _questions(calibration: Calibration) -> Iterator[tuple[str, str]]:
    """Different questions of the train split, domains and their tasks in turn."""
    streams, prompts = [draw_items(domain, "train") for domain in calibration.tasks], set()
    in_vain = 0
    while in_vain < 1000 * len(streams):  # a split may have fewer questions than requested
        for stream in streams:
            item = next(stream)
            in_vain += 1
            if item.prompt not in prompts:
                prompts.add(item.prompt)
                in_vain = 0
                yield item.prompt, item.answer


def _read_file(calibration: Calibration, stop: Stop | None) -> str:
    place, most = shown(calibration.text), _BYTES_A_TOKEN * calibration.tokens
    try:
        path = within_roots(Path(calibration.text).expanduser())
        data = read_regular(path, most + 1, stop=stop)
        whole = len(data) <= most
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(data[:most], final=whole)
        if "\0" in text:  # valid UTF-8, but typical of binary files
            raise _no_text(place)
    except UnicodeDecodeError as error:
        raise _no_text(place) from error
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: a name with NUL
        reason = getattr(error, "strerror", None) or error
        raise InvalidValue(f"calibration: {place} cannot be read ({reason}).") from error
    if not text.strip():
        raise InvalidValue(f"calibration: {place} holds no text.")
    return text


def _no_text(place: str) -> InvalidValue:
    return InvalidValue(
        f"calibration: {place} is no plain text in UTF-8. Another kind of file is the usual cause."
    )


def samples(
    source: CalibrationText, tokenizer: Any, longest: int, vocabulary: int
) -> tuple[Sample, ...]:
    """Samples of token ids; the last one is cut at the last token.

    Args:
        tokenizer: The base's.
        longest: Most tokens of one sample, at least 2.
        vocabulary: Tokens the model knows.

    Raises:
        InvalidValue: too little text for a single prediction.
        DamagedCheckpoint: the tokenizer fails, or belongs to another model.
    """
    left, texts = source.tokens, []
    for sample in _encoded(source.turns, tokenizer, longest):
        ids = sample.ids[: min(longest, left)]
        if max(ids, default=0) >= vocabulary:
            raise DamagedCheckpoint(
                f"The calibration text cannot be read: the tokenizer has a token {max(ids)}, the "
                f"model {vocabulary} tokens. {OF_ANOTHER}"
            )
        if len(ids) > sample.learned:
            texts.append(Sample(ids, sample.learned))
        left -= len(ids)
        if left < 2:
            break
    if not texts:
        raise InvalidValue(
            f"calibration: {source.tokens} tokens of this text hold nothing to predict. Ask for "
            "more tokens, or give a longer text."
        )
    return tuple(texts)


def _encoded(turns: Sequence[tuple[str, str]], tokenizer: Any, longest: int) -> Iterator[Sample]:
    for question, answer in turns:
        with ForeignCode("the calibration text cannot be turned into tokens", OF_ANOTHER):
            if question:
                encoded = [_turn(question, answer, tokenizer)]
            else:
                ids = [int(i) for i in tokenizer(answer)["input_ids"]]
                windows = range(0, len(ids), longest)
                encoded = [Sample(tuple(ids[at : at + longest]), 1) for at in windows]
        yield from encoded


def _turn(question: str, answer: str, tokenizer: Any) -> Sample:
    """A question in the chat template, and its whole answer."""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": question}]
        text = rendered_chat(tokenizer, turn, "the calibration text: its chat template")
        head = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        head = tokenizer(question + "\n")["input_ids"]
    tail = list(tokenizer(answer, add_special_tokens=False)["input_ids"])
    if tokenizer.eos_token_id is not None:
        tail.append(tokenizer.eos_token_id)
    return Sample(tuple(int(i) for i in (*head, *tail)), max(len(head), 1))
