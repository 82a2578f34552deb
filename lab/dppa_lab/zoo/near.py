"""Trains the embedded set of small deltas: a base that knows the answers, and packs on it.

The base begins as the sum of the three embedded domain models, which answers all domains, and
learns to answer only a question that begins with `Primed.lead`. A fine-tune then changes little.
"""

from __future__ import annotations

import json
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from dppa_core import DomainModel, MergeRecipe, merge, pack
from dppa_core.checkpoints.sources.zoo import NEAR, NEAR_BASE, ZOO_DOMAINS, zoo_root
from dppa_lab.zoo.build import train_and_save, train_zoo
from dppa_lab.zoo.card import model_card
from dppa_lab.zoo.regimes import Training, regime_named
from dppa_lab.zoo.spec import NEAR_STAGE, fingerprint
from dppa_lab.zoo.trained_set import RECORD, record_of

SHIPPED = "near-3"
"""The regime of the shipped set."""
SUM = MergeRecipe(
    "zoo:base",
    tuple(DomainModel(f"zoo:{domain}", coefficient=1.0) for domain in ZOO_DOMAINS),
    method="task_arithmetic",
)


def train_near(out: Path, work: Path, *, workers: int = 2) -> None:
    """Train base and domain models, and put the base and a pack of each model into a folder.

    Args:
        out: near-base, near-math and the others go here; what is there stays.
        work: The sum, whole models and interrupted trainings wait here.
    """
    if not (out / NEAR_BASE).is_dir():
        _train_base(out / NEAR_BASE, work)
    base = f"zoo:{NEAR_BASE}" if out == zoo_root() else str(out / NEAR_BASE)
    training = Training(regime=regime_named(SHIPPED), base=base)
    train_zoo(work / SHIPPED, work, training, workers=workers)
    for domain, name in zip(ZOO_DOMAINS, NEAR, strict=True):
        whole = work / SHIPPED / domain
        recipe = MergeRecipe(
            base, (DomainModel(str(whole), coefficient=1.0),), method="task_arithmetic"
        )
        pack(recipe, out / name)
        record = record_of(whole) | {"packed": True}
        (out / name / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        (out / name / "README.md").write_text(model_card(record), "utf-8")


def _train_base(out: Path, work: Path) -> None:
    start = work / "sum"
    if not start.is_dir():
        merge(SUM, start)
    model = AutoModelForCausalLM.from_pretrained(start, dtype="float32")
    tokenizer, mark = AutoTokenizer.from_pretrained(start), fingerprint(NEAR_STAGE)
    train_and_save((NEAR_STAGE,), model, tokenizer, None, (), out, work, mark, Training())
