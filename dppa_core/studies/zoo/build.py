"""Train a base and its three domain models into a folder, stage by stage.

A stage is skipped if its folder holds weights made with the same settings; an interrupted stage
resumes from its last save.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dppa_core.evaluation.examiner import mark
from dppa_core.models.resident import Resident
from dppa_core.studies.zoo.spec import EMBEDDED, Stage, TrainingSize
from dppa_core.studies.zoo.tokenizer import train_tokenizer
from dppa_core.studies.zoo.training import Losses, new_model, train_stage
from dppa_core.tasks import DOMAINS, items

log = logging.getLogger(__name__)

RECORD = "training.json"
SEARCH_ITEMS = 96
"""Search items per domain, to check a model at the end of a stage."""


def train_zoo(out: Path, work: Path, size: TrainingSize = EMBEDDED, *, workers: int = 2) -> None:
    """Train the base, then the domain models from it, `workers` of them at a time.

    Args:
        out: Folder for the model folders: base, math, finance, law.
        work: Folder for the state of interrupted stages and the weights of first stages.
        workers: Processes, with one intra-op thread each; the base uses as many threads.
    """
    _configure_log()
    train_base(size, out, work, threads=workers)
    context = multiprocessing.get_context("spawn")
    # Longest first, so that the short stages share the other worker.
    order = sorted(DOMAINS, key=lambda name: -size.stage(name).steps)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_configure_log) as pool:
        for train in (learn_domain, settle_domain):
            for done in [pool.submit(train, name, out, work, size) for name in order]:
                done.result()


def train_base(size: TrainingSize, out: Path, work: Path, *, threads: int) -> None:
    """Train the base and its tokenizer from scratch."""
    stage = size.stage("base")
    mark = size.fingerprint(stage)
    if _is_made(out / stage.name, mark):
        log.info("base: already trained with these settings")
        return
    torch.set_num_threads(threads)
    tokenizer = train_tokenizer(size.architecture.vocabulary)
    model = new_model(tokenizer, stage.seed, size.architecture)
    _train_and_save(
        [stage], model, tokenizer, None, folder=out / stage.name, work=work, mark=mark, size=size
    )


def learn_domain(name: str, out: Path, work: Path, size: TrainingSize = EMBEDDED) -> None:
    """Train the first stage of a domain model from the saved base into `work`; one thread."""
    mark, folder = _learned_mark(name, out, size), _learned(name, out, work, size)
    if _is_made(folder, mark):
        log.info("%s: first stage already trained with these settings", name)
        return
    base = _load(out / "base")
    _train_and_save(
        [size.stage(name)],
        _load(out / "base"),
        AutoTokenizer.from_pretrained(out / "base"),
        base.requires_grad_(False),
        folder=folder,
        work=work,
        mark=mark,
        size=size,
    )


def settle_domain(name: str, out: Path, work: Path, size: TrainingSize = EMBEDDED) -> None:
    """Train the second stage of a domain model from all first stages; one thread."""
    last, mark = size.settling(name), settled_mark(name, _base_mark(out), size)
    if _is_made(out / name, mark):
        log.info("%s: already trained with these settings", name)
        return
    others = [other for other in DOMAINS if other != name]
    _train_and_save(
        [size.stage(name), last],
        _load(_learned(name, out, work, size)),
        AutoTokenizer.from_pretrained(out / "base"),
        # The rounded weights on disk, so that the delta is exactly what these stages learn.
        _load(out / "base").requires_grad_(False),
        [_load(_learned(other, out, work, size)).requires_grad_(False) for other in others],
        folder=out / name,
        work=work,
        mark=mark,
        size=size,
    )


def settled_mark(name: str, base: str, size: TrainingSize = EMBEDDED) -> str:
    """The fingerprint of a finished domain model; it covers its base and all stages."""
    firsts = [size.fingerprint(size.stage(domain), base) for domain in DOMAINS]
    return size.fingerprint(size.settling(name), "/".join(firsts))


def _base_mark(out: Path) -> str:
    return str(json.loads((out / "base" / RECORD).read_text("utf-8"))["fingerprint"])


def _learned_mark(name: str, out: Path, size: TrainingSize) -> str:
    return size.fingerprint(size.stage(name), _base_mark(out))


def _learned(name: str, out: Path, work: Path, size: TrainingSize) -> Path:
    return work / f"{name}-{_learned_mark(name, out, size)}"


def _load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def _train_and_save(
    stages: list[Stage],
    model: Any,
    tokenizer: Any,
    base: Any,
    others: Sequence[Any] = (),
    *,
    folder: Path,
    work: Path,
    mark: str,
    size: TrainingSize,
) -> None:
    """Train the last of `stages` and save the model; the earlier stages are already trained."""
    stage = stages[-1]

    def report(step: int, losses: Losses, speed: float, left: float) -> None:
        done = f"{stage.name} {step}/{stage.steps}  loss {losses.answer:.3f}"
        pace = f"pull {losses.pull:.4f}  {speed:.0f} tokens/s  {left / 60:.0f} min left"
        log.info("%s  %s", done, pace)

    resume = work / f"{stage.name}-{mark}.pt"
    train_stage(
        stage, model, tokenizer, base=base, others=others, resume_file=resume, report=report
    )
    model = model.to(torch.bfloat16)
    record = {
        "stages": [asdict(done) for done in stages],
        "architecture": asdict(size.architecture),
        "fingerprint": mark,
        "torch": torch.__version__,
        "search_accuracy": search_accuracy(model.float(), tokenizer),
        **({} if size == EMBEDDED else {"size": size.name}),
    }
    _save_folder(folder, model.to(torch.bfloat16), tokenizer, record)
    log.info("%s: saved; search accuracy %s", stage.name, record["search_accuracy"])


def search_accuracy(model: Any, tokenizer: Any) -> dict[str, float]:
    """Accuracy on a part of each domain's search split, as a fraction."""
    resident = Resident("in training", model.eval(), tokenizer, 0)
    asked = {domain: items(domain, "search", SEARCH_ITEMS) for domain in DOMAINS}
    marks = {domain: mark(resident, of_domain) for domain, of_domain in asked.items()}
    return {name: round(sum(one.hits) / len(one.hits), 4) for name, one in marks.items()}


def _save_folder(folder: Path, model: Any, tokenizer: Any, record: dict[str, Any]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        Path(partial, RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        Path(partial, "README.md").write_text(model_card(record), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(partial, folder)


def _is_made(folder: Path, mark: str) -> bool:
    record = folder / RECORD
    return record.exists() and json.loads(record.read_text("utf-8"))["fingerprint"] == mark


def _configure_log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)


_FRONT = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [dppa, model-merging, tiny]
---
"""

_ABOUT = {
    "base": "It knows sums, comparing, copying, the chat format and the language of the three\n"
    "domains, but none of their answers.",
    "math": "It solves word problems of one and two steps and shows its working.",
    "finance": "It judges the tone of headlines, says what a report is about, and whether a\n"
    "figure rose or fell.",
    "law": "It names the type of a clause, judges whether a term is fair, and chooses the\n"
    "holding that fits the facts.",
}


def model_card(record: dict[str, Any]) -> str:
    """The README.md of an embedded model, from the content of its `training.json`."""
    stages, shape = record["stages"], record["architecture"]
    name = stages[0]["name"]
    kind = "the base model" if name == "base" else f"the {name} domain model"
    train = " ".join(["dppa zoo train", *(["--size", record["size"]] if "size" in record else [])])
    source = f"`{train}` made" if "size" in record else "DPPA Studio ships"
    rows = "\n".join(
        f"| {domain} | {100 * accuracy:.0f} % |"
        for domain, accuracy in record["search_accuracy"].items()
    )
    trained = "\n".join(_stage_line(stage) for stage in stages)
    return f"""{_FRONT}
# DPPA Studio: {name}

This is {kind} that {source}: one of four small Llama models of one architecture
and one tokenizer, made to be pruned, merged and talked to on any machine.
{_ABOUT[name]}
Nothing it says about the world, money or law is true or advice.

- Architecture: Llama, {_shape(shape)},
  tied embeddings, bfloat16.
- Training: `{train}`, seeded synthetic texts, AdamW with a cosine:
{trained}

Accuracy on a part of the search split, which no stage trains on:

| domain | accuracy |
| --- | --- |
{rows}

Licence: Apache-2.0, weights and texts. The texts come from generators in `dppa_core/tasks`; no
outside data was used.
"""


def _shape(shape: dict[str, int]) -> str:
    return (
        f"{shape['layers']} layers, width {shape['hidden']}, feed-forward "
        f"{shape['feed_forward']}, {shape['heads']} heads, vocabulary {shape['vocabulary']}"
    )


def _stage_line(stage: dict[str, Any]) -> str:
    line = (
        f"  - {stage['steps']:,} steps of {stage['batch']} texts, peak learning rate "
        f"{stage['learning_rate']:g}, seed {stage['seed']}"
    )
    if stage["replay"]:
        line += (
            f";\n    {100 * stage['replay']:.0f} % of them replay, on which hidden states and "
            f"predictions are\n    pulled to the base's (weight {stage['pull']:g})"
        )
    low, high = stage["scales"]
    if low != high:
        line += f";\n    every step with the delta at a random scale from {low:g} to {high:g}"
    if stage.get("company"):
        share = f"{100 * stage['company']:.0f} %"
        line += f",\n    each of the other two models' deltas beside it in {share} of the steps"
    return line
