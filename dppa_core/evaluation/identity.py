"""Keys of cached answers: everything the answers of a model or a merge depend on.

Models of equal weights, tokenizer and configuration give equal answers: one of them is asked.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import torch

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.small_files import COMPANIONS, known_sha256
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.evaluation.scores import Target, references_of, target_name
from dppa_core.merging.in_memory.source import memory_of
from dppa_core.models.decode import end_ids
from dppa_core.models.devices import expected_place, place_of
from dppa_core.models.drafted_answers import MAX_REPLY_TOKENS
from dppa_core.models.resident import Resident, is_spread
from dppa_core.profiling.calibration.texts import read_source
from dppa_core.progress import Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.system.recent import Recent

_KEPT_ANSWERS = 64
_FORMAT = 1  # change it when the same models would get other marks


def usual_place(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The devices on which a model, or a merge on this base, will compute; see `place_of`."""
    return expected_place(*memory_of(checkpoint))


def identity(
    target: Target,
    place: Callable[[Checkpoint], Sequence[str]] = usual_place,
    *,
    public: bool = False,
) -> str:
    """A text that changes with the weights, tokenizers, calibration texts and library versions.

    Args:
        place: Model, or base of a merge -> its `place_of`, which changes the text on a GPU.
    """
    texts: list[str] = []
    if isinstance(target, MergeRecipe) and target.calibrated:
        texts = [read_source(target.calibration_of(model)).digest for model in target.models]
    checkpoints = [open_checkpoint(name, public=public) for name in references_of(target)]
    programs = [f"{package} {version(package)}" for package in ("torch", "transformers")]
    parts = [_FORMAT, MAX_REPLY_TOKENS, programs, target_name(target), texts]
    return json.dumps([*parts, *map(_contents, checkpoints), *place(checkpoints[0])])


def _contents(checkpoint: Checkpoint) -> list[str]:
    """Hashes of all files a model is loaded from."""
    files = [folder / name for folder in checkpoint.folders for name in COMPANIONS]
    config = json.dumps(checkpoint.config, sort_keys=True, default=str)
    return [checkpoint.content_hash(), config, *(known_sha256(path) for path in files)]


class EqualModels:
    """Answers by the digest of the model. Thread-safe."""

    def __init__(self) -> None:
        self._answers, self._locks = Recent(_KEPT_ANSWERS), Recent(_KEPT_ANSWERS)
        self._digests = WeakKeyDictionary[Any, tuple[object, str | None]]()
        """Model -> what it was made of, and its digest."""
        self._lock = threading.Lock()

    def answer(
        self, resident: Resident, question: str, ask: Callable[[], bytes], stop: Stop | None = None
    ) -> bytes:
        """The answer of an equal model to the same question, else that of `ask`; equal models that
        are asked at the same time wait for the first."""
        made_of = self._digest(resident)
        if made_of is None:
            return ask()
        key = made_of, hashlib.sha256(question.encode()).hexdigest()
        with self._lock:
            lock: threading.Lock = self._locks.find(key) or self._locks.keep(key, threading.Lock())
        while not lock.acquire(timeout=0.1):
            check(stop)
        try:
            answer: bytes | None = self._answers.find(key)
            return self._answers.keep(key, ask()) if answer is None else answer
        finally:
            lock.release()

    def _digest(self, resident: Resident) -> str | None:
        """`model_digest`, computed once until another merge is written into the model."""
        made_of = resident.key, dict(resident.made_of)
        with self._lock:
            entry = self._digests.get(resident.model)
        if entry is None or entry[0] != made_of:
            entry = made_of, model_digest(resident)
            with self._lock:
                self._digests[resident.model] = entry
        return entry[1]


def model_digest(resident: Resident) -> str | None:
    """A hash of weights, tokenizer and configuration; None on a GPU, for a model that is spread,
    and for a tokenizer of Python code."""
    model, tokenizer = resident.model, resident.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or is_spread(model) or place_of(model):
        return None
    config = model.config.to_dict() if hasattr(model.config, "to_dict") else vars(model.config)
    settings = {name: value for name, value in config.items() if name != "_name_or_path"}
    reads = [backend.to_str(), tokenizer.chat_template, tokenizer.special_tokens_map]
    ends = sorted(end_ids(model, tokenizer))
    parts = [type(model).__name__, settings, *reads, tokenizer.eos_token_id, ends]
    digest = hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode())
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_key(resident: Resident) -> str | None:
    """A key, equal for tokenizers that encode alike; None for a slow tokenizer."""
    tokenizer: Any = resident.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    positions = getattr(resident.model.config, "max_position_embeddings", None)
    parts = [backend.to_str(), tokenizer.chat_template, tokenizer.eos_token_id, positions]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
