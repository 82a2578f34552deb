"""Train a base and its three domain models into a folder, stage by stage.

A stage is skipped if its folder holds weights made with the same settings; an interrupted stage
resumes from its last save.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.examiner import mark as mark_items
from dppa_core.models.resident import Resident
from dppa_core.system.atomic_folders import atomic_folder
from dppa_core.tasks import DOMAINS, items
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.loop import Losses
from dppa_lab.zoo.regimes import Training
from dppa_lab.zoo.spec import Stage
from dppa_lab.zoo.tokenizer import train_tokenizer
from dppa_lab.zoo.trained_set import RECORD, record_of
from dppa_lab.zoo.training import computes_in, new_model, train_stage

log = logging.getLogger(__name__)

EMBEDDED_SET = Training()
SEARCH_ITEMS = 96
"""Search items per domain, to check a model at the end of a stage."""


def train_zoo(
    out: Path,
    work: Path,
    training: Training = EMBEDDED_SET,
    *,
    domains: Sequence[str] = DOMAINS,
    workers: int = 2,
) -> None:
    """Train or copy the base, then train the domain models from it, `workers` of them at a time.

    Args:
        out: Folder for the model folders: base, math, finance, law.
        work: Folder for the state of interrupted stages, bases and the weights of first stages.
        domains: The domain models to train; settling needs all three.
        workers: Processes, with one intra-op thread each; the base uses as many threads. One
            worker is this process itself.

    Raises:
        InvalidValue: settling without all three, or a base of other training or architecture.
    """
    if training.regime.settling and set(domains) != set(DOMAINS):
        raise InvalidValue(
            f"Settling trains each of {', '.join(DOMAINS)} beside the other two, got "
            f"{', '.join(domains)}. Leave out --domains, or choose another --regime."
        )
    configure_log()
    provide_base(training, out, work, threads=workers)
    # Longest first, so that the short stages share the other worker.
    order = sorted(domains, key=lambda name: -training.stages(name)[0].steps)
    for train in (learn_domain, settle_domain) if training.regime.settling else (learn_domain,):
        run_jobs([partial(train, name, out, work, training) for name in order], workers)


def run_jobs(jobs: Sequence[Callable[[], None]], workers: int) -> None:
    """Run jobs in processes of one thread each; one worker is this process itself."""
    if workers == 1:
        for job in jobs:
            job()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=configure_log) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def provide_base(training: Training, out: Path, work: Path, *, threads: int) -> None:
    """Put the base into `out`: the one that is given, else the one of this size and seed.

    The latter is trained from scratch into `work`, where other regimes find it.
    """
    if training.base:
        folder = open_checkpoint(training.base).folders[0]
        mark = record_of(folder).get("fingerprint", "")
        if record_of(folder).get("architecture") != asdict(training.size.architecture):
            raise InvalidValue(
                f"--base {training.base}: its {RECORD} does not say that `dppa zoo train` made it "
                f"at size {training.size.name}."
            )
    else:
        mark = training.first_mark("base")
        folder = work / f"base-{mark}"
    if _has_mark(out / "base", mark):
        log.info("base: already there")
        return
    if not _has_mark(folder, mark):
        torch.set_num_threads(threads)
        tokenizer = train_tokenizer(training.size.architecture.vocabulary)
        stages = training.stages("base")
        model = new_model(tokenizer, stages[0].seed, training.size.architecture)
        train_and_save(stages, model, tokenizer, None, (), folder, work, mark, training)
    with atomic_folder((out / "base").resolve(), may_replace=lambda: None) as partial:
        shutil.copytree(folder, partial, dirs_exist_ok=True)


def learn_domain(name: str, out: Path, work: Path, training: Training = EMBEDDED_SET) -> None:
    """Train the first stage of a domain model from the saved base; one thread.

    It goes into `work` if settling follows, else into `out`.
    """
    mark, folder = training.first_mark(name, _base_mark(out)), _learned(name, out, work, training)
    if _has_mark(folder, mark):
        log.info("%s: first stage already trained with these settings", name)
        return
    # The rounded weights on disk, so that the delta is exactly what the stages learn.
    base = _load(out / "base").requires_grad_(False)
    model, tokenizer = _load(out / "base"), AutoTokenizer.from_pretrained(out / "base")
    stages = training.stages(name)[:1]
    train_and_save(stages, model, tokenizer, base, (), folder, work, mark, training)


def settle_domain(name: str, out: Path, work: Path, training: Training = EMBEDDED_SET) -> None:
    """Train the second stage of a domain model from all first stages; one thread."""
    mark = training.mark(name, _base_mark(out))
    if _has_mark(out / name, mark):
        log.info("%s: already trained with these settings", name)
        return
    firsts = {domain: _load(_learned(domain, out, work, training)) for domain in DOMAINS}
    model, base = firsts.pop(name), _load(out / "base").requires_grad_(False)
    others = [sibling.requires_grad_(False) for sibling in firsts.values()]
    tokenizer, stages = AutoTokenizer.from_pretrained(out / "base"), training.stages(name)
    train_and_save(stages, model, tokenizer, base, others, out / name, work, mark, training)


def _has_mark(folder: Path, mark: str) -> bool:
    return record_of(folder).get("fingerprint") == mark


def _base_mark(out: Path) -> str:
    return str(record_of(out / "base")["fingerprint"])


def _learned(name: str, out: Path, work: Path, training: Training) -> Path:
    if not training.regime.settling:
        return out / name
    return work / f"{name}-{training.first_mark(name, _base_mark(out))}"


def _load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def train_and_save(
    stages: Sequence[Stage],
    model: Any,
    tokenizer: Any,
    base: Any,
    others: Sequence[Any],
    folder: Path,
    work: Path,
    mark: str,
    training: Training,
) -> None:
    """Train the last of `stages` and save the model; the earlier stages are already trained."""
    stage = stages[-1]

    def report(step: int, losses: Losses, speed: float, left: float) -> None:
        part = f"{stage.name} {step}/{stage.steps}  loss {losses.answer:.3f}"
        pace = f"pull {losses.pull:.4f}  {speed:.0f} tokens/s  {left / 60:.0f} min left"
        log.info("%s  %s", part, pace)

    resume = work / f"{stage.name}-{mark}.pt"
    train_stage(
        stage, model, tokenizer, base=base, others=others, resume_file=resume, report=report
    )
    model = model.to(torch.bfloat16)
    record = {
        "stages": [asdict(trained) for trained in stages],
        "architecture": asdict(training.size.architecture),
        "fingerprint": mark,
        "torch": torch.__version__,
        "computed_in": computes_in(),
        "search_accuracy": search_accuracy(model.float(), tokenizer),
        **training.record(stage.name),
    }
    _save_folder(folder, model.to(torch.bfloat16), tokenizer, record)
    resume.unlink(missing_ok=True)
    log.info("%s: saved; search accuracy %s", stage.name, record["search_accuracy"])


def search_accuracy(
    model: Any, tokenizer: Any, domains: Sequence[str] = DOMAINS
) -> dict[str, float]:
    """Accuracy on a part of each domain's search split, as a fraction."""
    resident = Resident("in training", model.eval(), tokenizer, 0)
    accuracy = {}
    for domain in domains:
        hits = mark_items(resident, items(domain, "search", SEARCH_ITEMS)).hits
        accuracy[domain] = round(sum(hits) / len(hits), 4)
    return accuracy


def _save_folder(folder: Path, model: Any, tokenizer: Any, record: dict[str, Any]) -> None:
    with atomic_folder(folder.resolve(), may_replace=lambda: None) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        (partial / "README.md").write_text(model_card(record), "utf-8")


def configure_log() -> None:
    """Write a line of the log for each report; use one thread."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
