"""Tiny models whose tokenizers differ: tokens in other rows, tokens added, rows of padding.

Does not use dppa_core.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.helpers.tiny_models import Shape, TinyLlama, write_file

SMALL = Shape(layers=1, hidden=4, intermediate=4, heads=2, kv_heads=1, vocab=3)
VOCABULARY_TENSORS = ("model.embed_tokens.weight", "lm_head.weight")


def with_rows(model: TinyLlama, rows: Mapping[str, np.ndarray]) -> TinyLlama:
    """The model with other rows in some tensors."""
    count = next(iter(rows.values())).shape[0]
    size = {name: getattr(model.shape, name) for name in model.shape.__dataclass_fields__}
    return TinyLlama(Shape(**{**size, "vocab": count}), {**model.arrays, **rows})


def write_words(folder: Path, tokens: Sequence[str], added: Sequence[str] = ()) -> None:
    """A tokenizer of whole words: `tokens` in rows 0, 1, …; `added` in the rows behind them."""
    first = len(tokens)
    entries = [
        {"id": first + row, "content": token, "special": True, "single_word": False,
         "lstrip": False, "rstrip": False, "normalized": False}
        for row, token in enumerate(added)
    ]  # fmt: skip
    vocab = {token: row for row, token in enumerate(tokens)}
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": tokens[0]}
    value = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": entries,
        "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None,
        "decoder": None, "model": model,
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(value))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": tokens[0]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_words(
    model: TinyLlama, folder: Path, tokens: Sequence[str], added: Sequence[str] = (),
    dtype: str = "F32",
) -> Path:  # fmt: skip
    """A model with the tokenizer of `write_words`. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.shape.config(dtype)))
    write_file(folder / "model.safetensors", model.arrays, dtype)
    write_words(folder, tokens, added)
    return folder


def shuffled(model: TinyLlama, folder: Path, seed: int, dtype: str = "BF16") -> Path:
    """The same model with its tokens and their rows in another order."""
    model.save(folder, dtype=dtype)
    order = np.random.default_rng(seed).permutation(model.shape.vocab)
    arrays = {
        name: array[np.argsort(order)] if name in VOCABULARY_TENSORS else array
        for name, array in model.arrays.items()
    }
    TinyLlama(model.shape, arrays).save(folder, dtype=dtype)
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    vocab = value["model"]["vocab"]
    value["model"]["vocab"] = {token: int(order[row]) for token, row in vocab.items()}
    for entry in value["added_tokens"]:
        entry["id"] = int(order[entry["id"]])
    path.write_text(json.dumps(value))
    return folder
