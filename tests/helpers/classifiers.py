"""Tiny random classifiers of texts: of an encoder, and of a causal language model."""

from pathlib import Path

import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedModel,
)

from tests.helpers.encoders import SIZES, save

LABELS = ("negative", "positive", "neutral")
TEXTS = ("a good film", "bad", "not a bad film a good film", "a bad film")


def _saved(base: PreTrainedModel, home: Path) -> list[str]:
    """The base, and two with other weights everywhere, head included."""
    folders = [save(base, home / "base")]
    for seed, name in enumerate(("tone", "mood"), 1):
        model = type(base).from_pretrained(folders[0])
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        folders.append(save(model, home / name))
    return list(map(str, folders))


def save_classifiers(home: Path) -> list[str]:
    """BERT with a pooler and a classifier."""
    torch.manual_seed(0)
    config = BertConfig(**SIZES, id2label=dict(enumerate(LABELS)))
    return _saved(BertForSequenceClassification(config), home)


def save_scored_llama(home: Path) -> list[str]:
    """A Llama with a `score` head, which reads the last token that is no padding."""
    torch.manual_seed(0)
    sizes = {**SIZES, "num_key_value_heads": 1, "pad_token_id": 0}
    config = LlamaConfig(**sizes, id2label=dict(enumerate(LABELS)))
    return _saved(LlamaForSequenceClassification(config), home)


@torch.inference_mode()
def logits(model: PreTrainedModel, folder: Path, text: str) -> torch.Tensor:
    """Of one text alone, by transformers."""
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    return model.eval()(tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits
