"""Reads the two files of a LoRA adapter: its settings and its tensors.

Options that change the delta in an unsupported way are refused.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.small_files import read_object
from dppa_core.checkpoints.safetensors_reader import SafetensorsFile, open_file
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint, NotAllowed, many, shown
from dppa_core.pruning.floats import FLOATS

CONFIG = "adapter_config.json"
_MAX_PATTERN_CHARACTERS, _MAX_REPEATS = 200, 3
_MAX_RANK = 2**31 - 1
_MAX_STEPS = 100_000_000
"""Steps of all patterns on all names of an adapter: half a second; real ones take 1/1000."""
_REPEATS = re.compile(r"[*+?{]")
_NESTED = re.compile(r"\)[*+?{]|\\[1-9]|\(\?")  # causes exponential matching time

# Options with which the adapter is not scale * B @ A, and what each means.
_OTHER_SHAPES = {
    "layer_replication": "layers that the base does not have",
    "target_parameters": "adapters of bare parameters (fused experts)",
    "trainable_token_indices": "single trained rows of the embedding",
    "alora_invocation_tokens": "activated LoRA, which acts on part of a text only",
    "arrow_config": "a router over several adapters",
    "kasa_config": "KaSA, which changes the base as well",
    "monteclora_config": "MonteCLoRA, which draws at random",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QA-LoRA, which belongs to quantised weights",
}
# Initialisations that leave the base unchanged; PiSSA, OLoRA, LoftQ, CorDA, LoRA-GA change it.
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Settings of a LoRA adapter; names as in the file."""

    r: int
    lora_alpha: float
    use_rslora: bool = False
    """Divide by sqrt(r) instead of r."""
    use_dora: bool = False
    fan_in_fan_out: bool = False
    """The base stores its weights in x out (GPT-2)."""
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    """Regular expression over the end of a module's name -> its own r."""
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)

    def rank(self, module: str) -> int:
        """Rows of A for a module, as "model.layers.0.self_attn.q_proj"."""
        return int(_lookup(self.rank_pattern, module, self.r))

    def scale(self, module: str) -> float:
        """The factor before B @ A."""
        rank = self.rank(module)
        divisor = math.sqrt(rank) if self.use_rslora else rank
        return float(_lookup(self.alpha_pattern, module, self.lora_alpha)) / divisor

    def check_effort(self, modules: Iterable[str], folder: Path) -> None:
        """Refuse patterns that would take long on the names of an adapter."""
        patterns = (*self.rank_pattern, *self.alpha_pattern)
        lengths = Counter(map(len, modules))
        efforts = {
            pattern: sum(_steps(pattern, length) * count for length, count in lengths.items())
            for pattern in patterns
        }
        if sum(efforts.values()) > _MAX_STEPS:
            worst = max(efforts, key=efforts.__getitem__)
            raise DamagedCheckpoint(
                f"{folder / CONFIG}: patterns such as {shown(worst)} would take too long on the "
                f"{many(sum(lengths.values()), 'module')} of this adapter. Patterns without "
                "repetition (* + ?) are quick: write the names out."
            )


def _steps(pattern: str, length: int) -> int:
    """An upper bound of the ways to match a pattern to a name, by its repetitions and branches.

    peft puts one more repetition before the pattern.
    """
    repeats = len(_REPEATS.findall(pattern)) + 1
    branches = math.prod(part.count("|") + 1 for part in pattern.split("("))
    return math.comb(length + repeats, repeats) * branches


def _lookup(patterns: Mapping[str, float], module: str, otherwise: float) -> float:
    """The value of the first pattern that matches the end of the name after a dot, as in peft."""
    for pattern, value in patterns.items():
        if _compiled(pattern).match(module):
            return value
    return otherwise


def _compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern as peft uses it, if it cannot take exponential time."""
    repeats = len(_REPEATS.findall(pattern))
    if len(pattern) > _MAX_PATTERN_CHARACTERS or repeats > _MAX_REPEATS or _NESTED.search(pattern):
        raise ValueError(
            f"the pattern {shown(pattern)} repeats too much; allowed are {_MAX_PATTERN_CHARACTERS} "
            f"characters, {_MAX_REPEATS} repetitions, and none of a group"
        )
    try:
        return re.compile(rf"(.*\.)?({pattern})$")
    except (re.error, OverflowError) as error:
        raise ValueError(f"{shown(pattern)} is not a regular expression ({error})") from error


def read_lora_config(folder: Path) -> LoraConfig:
    """Read and check the configuration of an adapter folder."""
    values = _read(folder)
    _refuse_others(folder, values)
    try:
        config = LoraConfig(
            r=int(values.get("r", 8)),
            lora_alpha=float(values.get("lora_alpha", 8)),
            use_rslora=bool(values.get("use_rslora", False)),
            use_dora=bool(values.get("use_dora", False)),
            fan_in_fan_out=bool(values.get("fan_in_fan_out", False)),
            rank_pattern={str(k): int(v) for k, v in (values.get("rank_pattern") or {}).items()},
            alpha_pattern={
                str(k): float(v) for k, v in (values.get("alpha_pattern") or {}).items()
            },
        )
        for pattern in (*config.rank_pattern, *config.alpha_pattern):
            _compiled(pattern)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG}: a value cannot be read ({error}).") from error
    least = min((config.r, *config.rank_pattern.values()))
    alphas = (config.lora_alpha, *config.alpha_pattern.values())
    most = max((config.r, *config.rank_pattern.values()))
    if least < 1 or most > _MAX_RANK or not all(map(math.isfinite, alphas)):
        raise DamagedCheckpoint(
            f"{folder / CONFIG}: r must be 1 to {_MAX_RANK} and lora_alpha a number, got r "
            f"{shown(least if least < 1 else most)} and lora_alpha {shown(list(alphas))[1:-1]}."
        )
    return config


def _read(folder: Path) -> Mapping[str, Any]:
    if not folder.is_dir():
        raise MissingCheckpoint(
            f"{folder}: no such adapter folder. After the + of a reference stands a folder "
            "with adapter_config.json and adapter_model.safetensors."
        )
    if not (folder / CONFIG).exists():
        raise MissingCheckpoint(
            f"{folder}: no {CONFIG}, so this is not an adapter. A whole model, which is named "
            "without a +, is the usual cause."
        )
    return read_object(folder / CONFIG)


def _refuse_others(folder: Path, values: Mapping[str, Any]) -> None:
    kind = values.get("peft_type", "LORA")
    remedy = "Merge it with peft (merge_and_unload), save the model, and name that folder."
    if kind != "LORA":
        raise NotAllowed(f"{folder}: an adapter of type {shown(kind)}; LORA can be read. {remedy}")
    for option, meaning in _OTHER_SHAPES.items():
        if values.get(option):
            raise NotAllowed(f"{folder}: {option} is set: {meaning}. {remedy}")
    start = values.get("init_lora_weights", True)
    if start not in _PLAIN_STARTS:
        raise NotAllowed(
            f"{folder}: init_lora_weights is {shown(start)}, which changes the base when training "
            f"begins; the adapter alone does not say how. {remedy}"
        )


WEIGHTS = "adapter_model.safetensors"
_WRAPPERS = re.compile(r"\.(?:base_layer|modules_to_save|default)(?=\.|$)")
_PART = re.compile(
    r"(?P<module>.+)\.lora_(?:(?P<side>[AB])\.weight|embedding_(?P<rows>[AB])"
    r"|(?P<magnitude>magnitude_vector)(?:\.weight)?|(?P<bias>B\.bias))"
)


@dataclass(frozen=True, slots=True)
class LoraUpdate:
    """The parts of one adapted weight, by their names in the file; an absent part is empty."""

    a: str = ""
    """rank x in; for an embedding rank x tokens."""
    b: str = ""
    """out x rank; for an embedding width x rank."""
    magnitude: str = ""
    """For DoRA, the norm that each row (out) is scaled to."""
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class AdapterParts:
    """The changes an adapter makes, by the base's names (a prefix may differ)."""

    file: SafetensorsFile
    updates: Mapping[str, LoraUpdate] = field(default_factory=dict)
    """Module, as "model.layers.0.self_attn.q_proj" -> its A and B."""
    biases: Mapping[str, str] = field(default_factory=dict)
    """Module -> the addition to its bias."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Tensor of the base -> the trained tensor that replaces it."""


def read_parts(folder: Path) -> AdapterParts:
    """Sort the tensors of an adapter folder."""
    if not (folder / WEIGHTS).is_file() and (folder / "adapter_model.bin").is_file():
        raise MissingCheckpoint(
            f"{folder}: adapter_model.bin is a pickle, {WEIGHTS} is needed. "
            "Load it with peft and save it again (save_pretrained)."
        )
    file = open_file(folder / WEIGHTS)
    updates: dict[str, LoraUpdate] = {}
    biases, replaced = {}, {}
    for stored, info in file.tensors.items():
        if info.dtype not in FLOATS:
            raise DamagedCheckpoint(
                f"{file.path}: {stored} has dtype {info.dtype}; an adapter has {', '.join(FLOATS)}."
            )
        name = _WRAPPERS.sub("", stored.removeprefix("base_model.model."))
        match = _PART.fullmatch(name)
        if match is None:
            replaced[name] = stored
        elif match["bias"]:
            biases[match["module"]] = stored
        else:
            parts = updates.get(match["module"], LoraUpdate())
            updates[match["module"]] = _with(parts, match, stored)
    for module, update in updates.items():
        _check(folder, module, update)
    return AdapterParts(file, updates, biases, replaced)


def _with(update: LoraUpdate, match: re.Match[str], stored: str) -> LoraUpdate:
    if match["magnitude"]:
        return replace(update, magnitude=stored)
    side = match["side"] or match["rows"]
    embedding = match["rows"] is not None
    if side == "A":
        return replace(update, a=stored, embedding=embedding)
    return replace(update, b=stored, embedding=embedding)


def _check(folder: Path, module: str, update: LoraUpdate) -> None:
    if not update.a or not update.b:
        raise DamagedCheckpoint(
            f"{folder / WEIGHTS}: {module} has only {'B' if update.b else 'A'}, A and B belong "
            "together. A file cut short, or put together by hand, is the usual cause."
        )
    if update.embedding and update.magnitude:
        raise NotAllowed(
            f"{folder}: {module} is an embedding with DoRA, which is not computed here. Merge it "
            "with peft (merge_and_unload), save the model, and name that folder."
        )


def names_another(named: str, carrier: str) -> bool:
    """True if an adapter's configuration names another model than that on which it is put.

    A folder of its author says nothing.
    """
    place = named.replace("\\", "/")
    if not _plain(place) or place.startswith((".", "/", "~")) or ":/" in place:
        return False
    return _plain(place) != _plain(carrier)


def _plain(reference: str) -> str:
    """The last part of a name, in a normal spelling."""
    last = reference.partition("@")[0].rstrip("/").rpartition("/")[2].rpartition(":")[2]
    return "".join(sign for sign in last.lower() if sign.isalnum())
