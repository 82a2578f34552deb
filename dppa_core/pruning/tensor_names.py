"""Recognises embedding, LM head and buffers by name, and matches names of two checkpoints.

Modules inside the blocks are found by `modules`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from dppa_core.pruning.module_groups import layer_of

_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|embeddings)\.weight$"
)
_HEAD = re.compile(
    r"(?:^|\.)(?:lm_head(?:\.decoder)?|embed_out|output_layer|output|predictions\.decoder"
    r"|vocab_projector|generator_lm_head)\.weight$|^decoder\.weight$"
)
_EMBEDS = re.compile(r"embed|(?:^|\.)(?:wte|wpe)(?:\.|$)", re.IGNORECASE)
_LAST_NORM = re.compile(
    r"^(?:(?!head\.)\w+\.)*(?:norm|ln_f|final_norm|final_layer_?norm)\.(?:weight|bias)$"
)
_BUFFER = re.compile(r"(?:^|\.)(?:inv_freq|masked_bias|position_ids|cos_cached|sin_cached)$")
_MASK = re.compile(r"(?:^|\.)(?:attn|attention)\.bias$")
_BLOCK_START = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.\d+\.")


def find_embedding(names: Iterable[str]) -> str | None:
    """The input embedding, one row per token; None if there is none."""
    return _outside_blocks(_EMBEDDING, names)


def find_head(names: Iterable[str]) -> str | None:
    """The LM head, one row per token; None if it is tied."""
    return _outside_blocks(_HEAD, names)


def in_head(name: str) -> bool:
    """Return True if a tensor is of a head or a pooler: not of blocks, embeddings or last norm."""
    if _HEAD.search(name):
        return layer_of(name) is None
    body = _EMBEDS.search(name) or _LAST_NORM.search(name)
    return body is None and layer_of(name) is None


def before_blocks(name: str) -> bool:
    """Return True if a tensor outside the blocks is an embedding, so used before them."""
    return _EMBEDS.search(name) is not None and not _HEAD.search(name)


def token_tensors(names: Collection[str]) -> dict[str, str]:
    """Name -> role (embedding, head, bias of the head) of every tensor with one row per token."""
    embedding, head = find_embedding(names), find_head(names)
    roles = {embedding: "embedding", head: "head"}
    bias = head.removesuffix("weight") + "bias" if head else ""
    if bias in names:
        roles[bias] = "bias"
    return {name: role for name, role in roles.items() if name}


def _outside_blocks(pattern: re.Pattern[str], names: Iterable[str]) -> str | None:
    matches = [name for name in names if pattern.search(name) and layer_of(name) is None]
    return min(matches, key=lambda name: (len(name), name), default=None)


def is_buffer(name: str, shape: tuple[int, ...]) -> bool:
    """Return True if a tensor follows from the configuration, and only some versions store it.

    Rotary frequencies, position numbers, and the causal masks of GPT-2 and GPT-NeoX, which are
    called `attn.bias` like a bias, but have four axes.
    """
    return _BUFFER.search(name) is not None or (len(shape) > 2 and _MASK.search(name) is not None)


def match_names(names: Collection[str], targets: Collection[str]) -> Mapping[str, str]:
    """Name in one checkpoint -> name of the same tensor in the other, if it has one.

    The other may have been saved from the bare model without head, so that `model.` or
    `transformer.` is missing before every name, or from a wrapper that prefixes its own name.
    """
    present, prefix, target_prefix = set(targets), _prefix(names), _prefix(targets)
    pairs = {}
    if prefix.endswith(target_prefix):
        extra = prefix.removesuffix(target_prefix)
        pairs = {name: name.removeprefix(extra) for name in names}
    elif target_prefix.endswith(prefix):
        extra = target_prefix.removesuffix(prefix)
        pairs = {name: extra + name for name in names}
    pairs = {name: name if name in present else pairs.get(name, name) for name in names}
    return {name: target for name, target in pairs.items() if target in present}


def _prefix(names: Iterable[str]) -> str:
    """The prefix before the blocks in most names, as "model."."""
    starts = [match for name in names if (match := _BLOCK_START.search(name))]
    prefixes = Counter(match.string[: match.start()] for match in starts)
    text = prefixes.most_common(1)[0][0] if prefixes else ""
    return f"{text}." if text else ""
