"""Classifiers marked by questions whose answers are names of their labels; no text is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.architectures import is_encoder, labels_of
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue, closest, shown
from dppa_core.evaluation.perplexity import USUAL_CAUSE
from dppa_core.evaluation.scores import Exam, Marks
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.models.loading import build_body, load_tokenizer
from dppa_core.models.texts import check_logits
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.temporary import TemporaryFolder
from dppa_core.tasks import Item
from dppa_core.tasks.items import plain
from dppa_core.tasks.own_items import LETTERS, OwnItem

_BATCH, _LONGEST = 32, 512


def label_marks(
    exam: Exam, progress: Callable[[int], None] | None = None, stop: Stop | None = None
) -> Marks:
    """Marks of a classifier: its most likely label against the answer of an item, one token each.

    A merge is written into a temporary folder first.

    Raises:
        InvalidValue: an answer that is no label, a model that chooses no single label, or an exam
            of how answers are written.
        DppaError: a model that cannot be read or merged.
    """
    if exam.behaviour:
        raise InvalidValue("--behaviour: a classifier writes no answers that had a length.")
    items = exam.items()
    with closing(TemporaryFolder("model")) as room:
        source = checkpoint_of(exam.target, room.path / "model", stop)
        labels = labels_of(source.config)
        _check_kind(source, labels)
        right = torch.tensor([_right(item, labels, source) for item in items])
        texts = [item.question if isinstance(item, OwnItem) else item.prompt for item in items]
        scores = label_logits(source, texts, progress, stop).log_softmax(1)
    best, losses = scores.argmax(1), -scores.gather(1, right[:, None])[:, 0]
    return Marks(
        tuple((best == right).tolist()),
        tuple(losses.tolist()),
        (1,) * len(items),
        tuple(labels[place] for place in best.tolist()),
    )


def checkpoint_of(target: str | MergeRecipe, out: Path, stop: Stop | None) -> Checkpoint:
    """A model; a merge is written into the folder `out` first."""
    if isinstance(target, str):
        return open_checkpoint(target)
    merge_to_folder(target, out, sync=False, stop=stop)
    return open_checkpoint(str(out))


def _check_kind(source: Checkpoint, labels: Sequence[str]) -> None:
    kind = source.config.get("problem_type")
    if len(labels) < 2 or kind in ("regression", "multi_label_classification"):
        raise InvalidValue(
            f"{source.folder}: chooses no single label of several ({len(labels)} labels, "
            f"problem_type {shown(kind)}): its answers cannot be right or wrong."
        )


def _right(item: Item, labels: Sequence[str], source: Checkpoint) -> int:
    """The place of the label that an item names, as it is written or else in plain form."""
    choices = item.choices if isinstance(item, OwnItem) else ()
    answer = choices[LETTERS.index(item.answer)] if choices else item.answer
    places = [n for n, label in enumerate(labels) if label == answer] or [
        n for n, label in enumerate(labels) if plain(label) == plain(answer)
    ]
    if len(places) != 1:
        near = closest(answer, labels)
        raise InvalidValue(
            f"{shown(answer)}: no label of {source.folder}. {near}{near and ' '}Allowed are "
            f"{shown(list(labels), 400)}; --alone leaves out models beside a merge."
        )
    return places[0]


@torch.inference_mode()
def label_logits(
    source: Checkpoint,
    texts: Sequence[str],
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> Tensor:
    """The scores of every label for every text, float32, one row a text.

    Texts of one length are read together, so that none is padded.
    """
    model, tokenizer = build_body(source, kind="classifier"), load_tokenizer(source)
    config = model.config.get_text_config()
    lengths = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
    encoder = (_LONGEST,) if is_encoder(source.config) else ()
    longest = min(int(n) for n in (*lengths, *encoder) if n)
    with ForeignCode(f"{source.folder}: its tokenizer fails", USUAL_CAUSE):
        encoded = [
            tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in texts
        ]
    most = 1 if config.pad_token_id is None else _BATCH
    order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
    rows = dict[int, Tensor]()
    for _, group in groupby(order, lambda place: len(encoded[place])):
        places = list(group)
        for start in range(0, len(places), most):
            check(stop)
            some = places[start : start + most]
            logits = model(torch.tensor([encoded[place] for place in some])).logits
            check_logits(logits)
            rows |= dict(zip(some, logits, strict=True))
            if progress is not None:
                progress(len(rows))
    return torch.stack([rows[place] for place in range(len(texts))])
