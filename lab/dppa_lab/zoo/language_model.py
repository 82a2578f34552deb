"""Domain models of a real language model: LoRA adapters, or all its weights.

The questions are those of the embedded models, and for finance articles too, in the model's own
chat template. Only positions of an answer have a loss, and only they are multiplied with the large
vocabulary. The start of the template is the same in every text: a step computes it once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import DynamicCache

from dppa_core.errors import UnknownName, shown
from dppa_core.models.texts import cache_argument
from dppa_core.tasks import NEWS
from dppa_lab.zoo.skills import Turn
from dppa_lab.zoo.spec import Stage
from dppa_lab.zoo.training import IGNORE, Batch, own_turns, padded


@dataclass(frozen=True, slots=True)
class Tuning:
    """How domain models are made from a language model."""

    name: str
    learning_rate: float
    steps: int
    """Of each."""
    rank: int = 0
    """Of the adapters; 0 to train all weights."""
    batch: int = 16
    warmup: int = 12
    mixed: bool = False
    """True to multiply matrices in bfloat16; weights and optimiser stay in float32."""

    def stage(self, domain: str, seed: int) -> Stage:
        """The only stage of a domain model."""
        return Stage(
            domain, self.steps, self.batch, self.learning_rate, warmup=self.warmup, seed=seed
        )


TUNINGS = {
    tuning.name: tuning
    for tuning in (
        Tuning("lora", 1e-3, 240, rank=8),
        Tuning("full", 5e-5, 240, mixed=True),
        Tuning("large", 1e-4, 720, mixed=True),
        *(
            Tuning(f"brief-{n}", 5e-5 * n, steps, batch=8, warmup=4)
            for n, steps in ((1, 120), (3, 80), (10, 60), (40, 60))
        ),
    )
}
"""`large` is `full` at twice the rate and three times the steps. Both multiply in bfloat16, which
takes half the time where a processor can. The brief ones learn a manner: changes of four sizes."""
EXTRA_DOMAINS: Mapping[str, tuple[str, ...]] = {"finance": (NEWS,)}
"""Domain -> further domains that its model learns; every task of all is drawn equally often."""


def tuning_named(name: str) -> Tuning:
    """The tuning with this name; raises UnknownName, which lists all."""
    if name not in TUNINGS:
        raise UnknownName(
            f"No regime {shown(name)} for a language model. --regime takes {', '.join(TUNINGS)}."
        )
    return TUNINGS[name]


class Adapter(nn.Module):
    """Two matrices A (rank, in) and B (out, rank); B begins at zero."""

    scale = 2.0

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, linear.in_features) / math.sqrt(linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))


class Adapted(nn.Module):
    """A frozen linear layer W with an adapter."""

    def __init__(self, linear: nn.Linear, adapter: Adapter) -> None:
        super().__init__()
        self.linear, self.adapter = linear, adapter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """W x + 2 B A x."""
        a, b = self.adapter.a, self.adapter.b
        return torch.as_tensor(self.linear(x) + Adapter.scale * (x @ a.T @ b.T))


def add_adapters(model: Any, rank: int, seed: int) -> dict[str, Adapter]:
    """Freeze a model and put an adapter on every linear layer of its blocks.

    Returns:
        The adapters by the layers' names.
    """
    torch.manual_seed(seed)
    model.requires_grad_(False)
    linear_layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and ".layers." in name
    }
    adapters = {}
    for name, linear in linear_layers.items():
        adapters[name] = adapter = Adapter(linear, rank)
        model.set_submodule(name, Adapted(linear, adapter))
    return adapters


def merge_adapters(model: Any) -> None:
    """Add each adapter to its layer, so that the model is a plain one again."""
    for name, layer in [*model.named_modules()]:
        if isinstance(layer, Adapted):
            with torch.no_grad():
                layer.linear.weight += Adapter.scale * (layer.adapter.b @ layer.adapter.a)
            model.set_submodule(name, layer.linear)


def adapter_tensors(adapters: Mapping[str, Adapter]) -> dict[str, torch.Tensor]:
    """The tensors of an adapter file in peft's names, in bfloat16."""
    tensors = {}
    for layer, adapter in adapters.items():
        name = f"base_model.model.{layer}"
        tensors[f"{name}.lora_A.weight"] = adapter.a.detach().to(torch.bfloat16)
        tensors[f"{name}.lora_B.weight"] = adapter.b.detach().to(torch.bfloat16)
    return tensors


def adapter_config(adapters: Mapping[str, Adapter], base: str) -> dict[str, Any]:
    """The content of adapter_config.json."""
    rank = next(iter(adapters.values())).a.shape[0]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": Adapter.scale * rank,
        "target_modules": sorted({key.rpartition(".")[2] for key in adapters}),
        "bias": "none",
    }


class ChatTexts:
    """Training texts in a model's chat template, without the start that all of them share."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._start = _rendered(tokenizer, "X").split("X")[0]
        self.start = torch.tensor([self._ids(self._start)])
        """Token ids of the shared start, shape (1, tokens)."""

    def batch(self, turns: list[Turn]) -> Batch:
        """A padded batch of questions, each from after the shared start, with their answers."""
        heads = [_rendered(self._tokenizer, user)[len(self._start) :] for user, _ in turns]
        end = self._tokenizer.eos_token
        return padded(
            [self._ids(head) for head in heads],
            [self._ids(answer + end) for _, answer in turns],
            int(self._tokenizer.pad_token_id),
        )

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _rendered(tokenizer: Any, question: str) -> str:
    turn = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))


def answer_loss(model: Any, texts: ChatTexts, stage: Stage, step: int) -> tuple[torch.Tensor, int]:
    """Mean cross-entropy of the answers of one step, in nats, and the tokens computed."""
    turns = own_turns(stage, step, EXTRA_DOMAINS.get(stage.name, ()))
    batch, name = texts.batch(turns), cache_argument(model.model)
    cache = DynamicCache(config=model.config)
    model.model(input_ids=texts.start, use_cache=True, **{name: cache})
    cache.batch_repeat_interleave(len(batch.ids))
    out = model.model(input_ids=batch.ids, use_cache=True, **{name: cache}).last_hidden_state
    learned = batch.labels[:, 1:] != IGNORE
    logits = model.lm_head(out[:, :-1][learned])
    loss = functional.cross_entropy(logits, batch.labels[:, 1:][learned])
    return loss, batch.ids.numel()
