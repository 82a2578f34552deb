"""Tiny random encoders, made by transformers, with an old tokenizer of vocab.txt alone."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
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


PROMPTS = {"query": "not ", "document": ""}
POOLING = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
MODULES = ("", "1_Pooling", "2_Dense", "3_Normalize")


def save_sentence_encoder(model: PreTrainedModel, folder: Path, seed: int = 0) -> Path:
    """Write an encoder of sentences as sentence-transformers does: mean pooling, a dense layer,
    vectors of length 1."""
    save(model, folder, seed)
    kinds = ("Transformer", *(path.partition("_")[2] for path in MODULES[1:]))
    rows = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(zip(MODULES, kinds, strict=True))
    ]
    dense = {"in_features": 16, "out_features": 4, "bias": True}
    files = {
        "modules.json": rows,
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "5.1.0"},
            "prompts": PROMPTS,
            "similarity_fn_name": "cosine",
        },
        "sentence_bert_config.json": {"max_seq_length": 6, "do_lower_case": False},
        "1_Pooling/config.json": POOLING,
        "2_Dense/config.json": {**dense, "activation_function": "torch.nn.modules.activation.Tanh"},
    }
    for name, values in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2), "utf-8")
    torch.manual_seed(9)
    layer = torch.nn.Linear(16, 4)
    tensors = {f"linear.{name}": weight.data for name, weight in layer.named_parameters()}
    save_file(tensors, folder / "2_Dense" / "model.safetensors", {"format": "pt"})
    return folder
