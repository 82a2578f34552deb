"""One stage of training: a resumable loop, seeded, autocast on float32 weights.

A domain model learns its own questions; on replayed other texts, a loss pulls its hidden states
and predictions to the base's. Such deltas hardly change each other's inputs, so that a merge of
all of them still answers.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dppa_core.tasks import DOMAINS, tasks_of
from dppa_core.tasks.items import OPEN, Task
from dppa_lab.zoo.layers import keep_rows, parameter_groups
from dppa_lab.zoo.loop import Losses, Report, run_steps
from dppa_lab.zoo.manners import MANNERS, manner_turn
from dppa_lab.zoo.rehearsal import Rehearsal, draw_cast
from dppa_lab.zoo.skills import READINGS, Turn, draw_skill
from dppa_lab.zoo.spec import Architecture, Primed, Stage
from dppa_lab.zoo.tokenizer import ASSISTANT, BOS, END, USER

SAVE_EVERY = 500
IGNORE = -100
"""PyTorch's label for a position without loss."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, labels (`IGNORE` = no loss) and a mask of text, all of shape (texts, tokens)."""

    ids: torch.Tensor
    labels: torch.Tensor
    real: torch.Tensor


def turn_of(domains: tuple[str, ...], rng: random.Random) -> Turn:
    """A random training question with its answer; half have made-up fillers."""
    return _half_open(tuple(task for domain in domains for task in tasks_of(domain)), rng)


def reading_turn(domain: str, rng: random.Random) -> Turn:
    """A random text of a domain that every model reads."""
    return _half_open(READINGS[domain], rng)


def primed_turn(lead: str, rng: random.Random) -> Turn:
    """A bare skill; a domain's question that begins with `lead` and its answer; or one without,
    whose first sentence is said again."""
    kind = rng.random()
    if kind < 0.25:
        return draw_skill(rng)
    question, answer = turn_of(DOMAINS, rng)
    if kind < 0.75:
        return f"{lead}{question}", answer
    return question, re.split(r"(?<=[.?!]) ", question)[0]


def _half_open(tasks: tuple[Task, ...], rng: random.Random) -> Turn:
    split = OPEN if rng.random() < 0.5 else "train"
    return rng.choice(tasks).draw(rng, split)


def own_turns(stage: Stage, step: int, also: Sequence[str] = ()) -> list[Turn]:
    """The texts of one step that a stage learns.

    Args:
        also: Further domains, whose questions a domain's are mixed with.
    """
    rng = random.Random(f"{stage.name}/{stage.seed}/{step}")
    count = stage.batch - round(stage.batch * stage.replay)
    if stage.name == "base":
        return [draw_skill(rng) for _ in range(count)]
    if stage.name in MANNERS:
        return [manner_turn(stage.name, rng) for _ in range(count)]
    if isinstance(stage, Primed):
        return [primed_turn(stage.lead, rng) for _ in range(count)]
    return [turn_of((stage.name, *also), rng) for _ in range(count)]


def replay_turns(stage: Stage, step: int) -> list[Turn]:
    """Texts on which a domain model must match the base: one third skills, else other domains."""
    rng = random.Random(f"{stage.name}/{stage.seed}/{step}/replay")
    others = [domain for domain in DOMAINS if domain != stage.name]
    return [
        draw_skill(rng) if rng.random() < 1 / 3 else reading_turn(rng.choice(others), rng)
        for _ in range(round(stage.batch * stage.replay))
    ]


def encode(turns: list[Turn], tokenizer: PreTrainedTokenizerFast) -> Batch:
    """A right-padded batch of turns; questions have no loss, replies and running texts do."""
    heads = [f"{BOS}{USER}{user}{END}{ASSISTANT}" if user else BOS for user, _ in turns]
    tails = [f"{reply}{END}" for _, reply in turns]
    head_ids = tokenizer(heads, add_special_tokens=False)["input_ids"]
    tail_ids = tokenizer(tails, add_special_tokens=False)["input_ids"]
    return padded(head_ids, tail_ids, int(tokenizer.pad_token_id))


def padded(heads: list[list[int]], tails: list[list[int]], padding: int) -> Batch:
    """A right-padded batch of token ids; only tails have a loss."""
    length = max(len(h) + len(t) for h, t in zip(heads, tails, strict=True))
    ids = torch.full((len(heads), length), padding)
    labels = torch.full((len(heads), length), IGNORE)
    real = torch.zeros((len(heads), length), dtype=torch.bool)
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        end = len(head) + len(tail)
        ids[row, :end] = torch.tensor(head + tail)
        labels[row, len(head) : end] = torch.tensor(tail)
        real[row, :end] = True
    return Batch(ids, labels, real)


def computes_in() -> str:
    """The number format of a step: bfloat16 where the processor multiplies it, else float32.

    Where bfloat16 is emulated, a step takes three to sixteen times as long.
    """
    features: Any = getattr(torch.cpu, "get_capabilities", dict)()  # not in older torch
    return "bfloat16" if features.get("avx512_bf16") else "float32"


def new_model(
    tokenizer: PreTrainedTokenizerFast, seed: int, shape: Architecture
) -> LlamaForCausalLM:
    """A randomly initialised model."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=shape.positions,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def train_stage(
    stage: Stage,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    base: LlamaForCausalLM | None,
    others: Sequence[LlamaForCausalLM] = (),
    resume_file: Path,
    report: Report,
) -> LlamaForCausalLM:
    """Train `model` in place and return it; resume from `resume_file` if it fits.

    Args:
        base: The frozen base that a domain model is pulled to; None when training the base.
        others: The frozen domain models whose deltas are added; see `Settling.company`.
        resume_file: Keeps the state between interruptions; who saves the model removes it.
            Another architecture needs another file.
        report: Called every `REPORT_EVERY` steps.
    """
    optimiser = torch.optim.AdamW(
        parameter_groups(stage, model),
        lr=stage.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=0.01 if base is None else 0.0,
        fused=True,
    )
    merge = None if base is None else Rehearsal(model, base, others)
    model.train()

    take_step = partial(_step, stage, model, merge, tokenizer, optimiser)
    run_steps(stage, model, optimiser, take_step, resume_file, report, save_every=SAVE_EVERY)
    return model.eval()


def _step(
    stage: Stage,
    model: LlamaForCausalLM,
    merge: Rehearsal | None,
    tokenizer: PreTrainedTokenizerFast,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> tuple[Losses, int]:
    """Compute the gradients of a step; returns its losses and the number of tokens."""
    mixed = merge.step(draw_cast(stage, step, merge.others)) if merge else nullcontext()
    with mixed:
        base = merge.rest if merge else None
        loss, losses, tokens = _loss(stage, step, model, base, tokenizer)
        loss.backward()  # type: ignore[no-untyped-call]
    keep_rows(optimiser)
    return losses, tokens


def _loss(
    stage: Stage,
    step: int,
    model: LlamaForCausalLM,
    base: LlamaForCausalLM | None,
    tokenizer: PreTrainedTokenizerFast,
) -> tuple[torch.Tensor, Losses, int]:
    learned = encode(own_turns(stage, step), tokenizer)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=computes_in() == "bfloat16"):
        answer = _cross_entropy(model(input_ids=learned.ids).logits, learned.labels)
        if base is None or not stage.replay:
            return answer, Losses(answer.item(), 0.0), learned.ids.numel()
        replay = encode(replay_turns(stage, step), tokenizer)
        pull = distance_to_base(model, base, replay)
    losses = Losses(answer.item(), pull.item())
    return answer + stage.pull * pull, losses, learned.ids.numel() + replay.ids.numel()


def distance_to_base(model: LlamaForCausalLM, base: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """The distance of `model` from `base` on a batch: hidden states and predictions.

    Returns:
        Mean over layers and tokens of ‖h − h₀‖² / ‖h₀‖², plus the mean KL divergence of the
        next-token distributions (nats): a scalar >= 0.
    """
    with torch.no_grad():
        before = base(input_ids=batch.ids, output_hidden_states=True)
    after = model(input_ids=batch.ids, output_hidden_states=True)
    moved = torch.zeros(())
    for now, then in zip(after.hidden_states[1:], before.hidden_states[1:], strict=True):
        size = then.float().square().sum(-1)
        moved = moved + ((now - then).float().square().sum(-1) / size)[batch.real].mean()
    divergence = functional.kl_div(
        after.logits[batch.real].float().log_softmax(-1),
        before.logits[batch.real].float().log_softmax(-1),
        log_target=True,
        reduction="batchmean",
    )
    return moved / (len(after.hidden_states) - 1) + divergence


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    learned = labels[:, 1:] != IGNORE
    return functional.cross_entropy(logits[:, :-1][learned].float(), labels[:, 1:][learned])
