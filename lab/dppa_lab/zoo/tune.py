"""Train the domain models of a language model into a folder, each in a process of its own."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from dppa_core.checkpoints.adapters.lora_files import CONFIG, WEIGHTS
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.system.atomic_folders import atomic_folder
from dppa_core.tasks import DOMAINS, NEWS
from dppa_lab.zoo.build import configure_log, run_jobs, search_accuracy
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.language_model import (
    EXTRA_DOMAINS,
    ChatTexts,
    Tuning,
    adapter_config,
    adapter_tensors,
    add_adapters,
    answer_loss,
    merge_adapters,
)
from dppa_lab.zoo.loop import Losses, run_steps
from dppa_lab.zoo.manners import MANNERS, asked_of
from dppa_lab.zoo.spec import Stage
from dppa_lab.zoo.trained_set import RECORD, record_of

log = logging.getLogger(__name__)
SAVE_EVERY = 20


def tune_models(
    base: str,
    tuning: Tuning,
    out: Path,
    work: Path,
    *,
    domains: Sequence[str],
    seed: int = 0,
    workers: int = 2,
) -> None:
    """Train domain models of a base, `workers` at a time with one thread each.

    Args:
        base: Its reference, as zoo:smollm2; fetched if it is not here.
        out: A folder for each domain goes here; what is there with these settings stays.
        work: Interrupted training waits here.
    """
    open_checkpoint(base)
    configure_log()
    jobs = [partial(tune_model, base, tuning, out, work, name, seed) for name in domains]
    run_jobs(jobs, min(workers, len(domains)))


def tune_model(base: str, tuning: Tuning, out: Path, work: Path, domain: str, seed: int) -> None:
    """Train one domain model, on from where it was stopped."""
    stage = tuning.stage(domain, seed)
    settings = {"base": base, "regime": tuning.name, "rank": tuning.rank, "stage": asdict(stage)}
    if domain in EXTRA_DOMAINS:
        settings["also"] = EXTRA_DOMAINS[domain]
    if tuning.mixed:
        settings["mixed"] = True
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    if record_of(out / domain).get("fingerprint") == mark:
        log.info("%s: already trained with these settings", domain)
        return
    folder = open_checkpoint(base).folders[0]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    adapters = add_adapters(model, tuning.rank, seed) if tuning.rank else {}
    weights = torch.nn.ModuleList(adapters.values()) if adapters else model
    resume_file = work / f"{domain}-{mark}.pt"
    learn(stage, model, ChatTexts(tokenizer), weights, resume_file, mixed=tuning.mixed)
    merge_adapters(model)
    accuracy = search_accuracy(
        model.eval(), tokenizer, (asked_of(domain),) if domain in MANNERS else (*DOMAINS, NEWS)
    )
    log.info("%s: search accuracy %s", domain, accuracy)
    record = {**settings, "seed": seed, "fingerprint": mark, "search_accuracy": accuracy}
    with atomic_folder((out / domain).resolve(), may_replace=lambda: None) as partial:
        if not adapters:
            model.to(torch.bfloat16).save_pretrained(partial)
            tokenizer.save_pretrained(partial)
        else:
            save_file(adapter_tensors(adapters), partial / WEIGHTS)
            _write(partial / CONFIG, adapter_config(adapters, base))
        _write(partial / RECORD, record)
        (partial / "README.md").write_text(model_card(record), "utf-8")
    resume_file.unlink(missing_ok=True)


def learn(
    stage: Stage,
    model: Any,
    texts: ChatTexts,
    weights: torch.nn.Module,
    resume_file: Path,
    *,
    mixed: bool,
) -> None:
    """Train `weights`, a model or the adapters in it, on the questions of a stage.

    Args:
        mixed: Multiply matrices in bfloat16; weights, gradients and optimiser are float32.
    """
    optimiser = torch.optim.AdamW(
        weights.parameters(), lr=stage.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
    )

    def take_step(step: int) -> tuple[Losses, int]:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss, tokens = answer_loss(model, texts, stage, step)
        loss.backward()  # type: ignore[no-untyped-call]
        return Losses(loss.item(), 0.0), tokens

    def report(step: int, losses: Losses, speed: float, left: float) -> None:
        part = f"{stage.name} {step}/{stage.steps}  loss {losses.answer:.3f}"
        log.info("%s  %.0f tokens/s  %.0f min left", part, speed, left / 60)

    run_steps(stage, weights, optimiser, take_step, resume_file, report, save_every=SAVE_EVERY)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
