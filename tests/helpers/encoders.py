"""Tiny random encoders, made by transformers, with an old tokenizer of vocab.txt alone."""

import json
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    PreTrainedModel,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "##s", "a", "not"]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def save(model: PreTrainedModel, folder: Path, seed: int = 0) -> Path:
    """Write a model, its body moved by a small delta."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.base_model.parameters() if seed else ():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", "utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def save_encoders(home: Path) -> tuple[str, str, str]:
    """A masked language model, and a classifier and a reader made from it."""
    torch.manual_seed(0)
    folders = [save(BertForMaskedLM(BertConfig(**SIZES)), home / "base")]
    kinds = ((BertForSequenceClassification, "tone"), (BertForQuestionAnswering, "reader"))
    for seed, (kind, name) in enumerate(kinds, 1):
        folders.append(save(kind.from_pretrained(folders[0]), home / name, seed))
    base, tone, reader = map(str, folders)
    return base, tone, reader
