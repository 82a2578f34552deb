"""From a recipe to a LoRA adapter of its base, in the folder that PEFT and vLLM read.

A sum of adapters stays one: its factors are written side by side, or taken back to a rank. Any
other merge is decomposed, one matrix at a time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from dppa_core.checkpoints.adapters.lora_files import CONFIG, WEIGHTS
from dppa_core.checkpoints.folders.architectures import other_architectures
from dppa_core.errors import InvalidValue
from dppa_core.merging.cards.card import model_card
from dppa_core.merging.cards.record import MergeRecord
from dppa_core.merging.folder import CARD, RECIPE, new_folder, refuse_entries
from dppa_core.merging.inputs import with_dtype
from dppa_core.merging.lora.adapter_sum import AdapterSum, adapter_sum
from dppa_core.merging.lora.folder import (
    Spool,
    factors_nbytes,
    write_factors,
    write_lora_config,
)
from dppa_core.merging.lora.linear_modules import linear_modules
from dppa_core.merging.lora.measure import Factoriser, MeasuredModule, left_out
from dppa_core.merging.lora.report import MOST_RANK, USUAL_RANK, AdapterReport
from dppa_core.merging.merger import TensorMerger, open_merger
from dppa_core.merging.to_pack import check_packable
from dppa_core.progress import Progress, RunControl, Stop
from dppa_core.recipes.recipe_argument import as_recipe
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, recipe_hash
from dppa_core.system.threads import worker_count

_DTYPE = "BF16"
"""Of factors that are decomposed."""
Announce = Callable[[AdapterReport], None]


class NoChange(InvalidValue):
    """The merge is its base."""


def merge_to_lora(
    recipe: MergeRecipe | str | Path,
    out: str | Path,
    *,
    rank: int | None = None,
    overwrite: bool = False,
    sync: bool = True,
    public: bool = False,
    workers: int | None = None,
    announce: Announce | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> AdapterReport:
    """Write a merge as an adapter; the folder appears whole or not at all.

    Beside adapter_config.json and adapter_model.safetensors it gets the recipe and a card. Memory
    holds one matrix a thread; no file depends on time, or on the number of threads.

    Args:
        recipe: A recipe, or the path of its file.
        rank: Most directions of a matrix. If None, a sum of adapters stays as it is, and what is
            decomposed has `USUAL_RANK`.
        overwrite: Allows to replace a folder that this function wrote.
        announce: Called with what the adapter keeps, before it is written.
        sync, public, workers, progress, stop: See `merge_to_folder`.

    Raises:
        InvalidRecipe: the vocabulary is not the base's.
        InvalidValue: a rank out of range, or a merge that changes no linear module (NoChange if
            it changes nothing else).
        DamagedCheckpoint: transformers does not know the base's architecture.
        InvalidValue, NotAllowed, CheckpointError: see `pack_models`.
    """
    recipe, out, threads = as_recipe(recipe), Path(out), worker_count(workers)
    check_packable(recipe, whole=True)
    if rank is not None and not 1 <= rank <= MOST_RANK:
        raise InvalidValue(f"rank must be 1 to {MOST_RANK}, got {rank}. Usual are 8 to 64.")
    control: RunControl = {"progress": progress, "stop": stop}
    read: list[Path] = []
    check = partial(refuse_entries, allowed=_is_written, kind="is no part of an adapter")
    with new_folder(out, read, overwrite=overwrite, sync=sync, check_entries=check) as folder:
        merger = open_merger(unrounded(recipe), public=public, workers=threads, **control)
        read += merger.inputs.folders()
        with tempfile.TemporaryFile(dir=folder) as spool:
            adapter = _Adapter(merger, recipe.dtype, rank, Spool(spool), threads)
            about = adapter.measure(control)
            if announce is not None:
                announce(about)
            return adapter.write(folder, about)


def unrounded(recipe: MergeRecipe) -> MergeRecipe:
    """The recipe whose merge is not rounded to 16 bits, unless its arithmetic is."""
    return replace(recipe, dtype="float32") if recipe.arithmetic == "float32" else recipe


class _Adapter:
    """One adapter: measured, then written."""

    def __init__(
        self, merger: TensorMerger, dtype: str, rank: int | None, spool: Spool, workers: int
    ) -> None:
        self._merger, self._workers, self._spool = merger, workers, spool
        self._recipe = with_dtype(replace(merger.recipe, dtype=dtype), merger.base)
        linear = linear_modules(merger.base)
        total = adapter_sum(merger.inputs, merger.plan)
        if isinstance(total, AdapterSum) and not total.terms.keys() <= linear.keys():
            total = f"{min(total.terms.keys() - linear.keys())} is no linear module"
        self._dense = total if isinstance(total, str) else ""
        self._total = None if isinstance(total, str) else total
        if self._total is None:
            inside = {module.tensor for module in merger.inputs.modules}
            self._modules = {name: linear[name] for name in linear if name in inside}
            rank = rank or USUAL_RANK
        else:
            leaves = {linear[name].leaf for name in self._total.terms}
            self._modules = {name: m for name, m in linear.items() if m.leaf in leaves}
            rank = None if rank is None or rank >= self._total.rank else rank
        self._rank = rank
        self._dtype = _DTYPE if rank or self._total is None else self._total.dtype
        self._measured: dict[str, MeasuredModule] = {}

    def measure(self, control: RunControl) -> AdapterReport:
        """Make all factors, and say what they keep."""
        make = Factoriser(self._merger, self._total, self._rank, self._dtype, self._spool)
        measured = dict(make.measure_all(self._modules, self._workers, control))
        leaves = {self._modules[name].leaf for name, module in measured.items() if module.energy}
        self._measured = {n: m for n, m in measured.items() if self._modules[n].leaf in leaves}
        dropped = dict[str, float]()
        if self._total is None:
            dropped = left_out(self._merger, self._modules, self._workers, control)
        if not self._measured:
            raise (InvalidValue if dropped else NoChange)(
                "No linear module of the merge differs from the base, so there is nothing for an "
                "adapter. Coefficients of 0 are the usual cause."
            )
        return self._report(dropped)

    def _report(self, dropped: Mapping[str, float]) -> AdapterReport:
        modules = self._measured.values()
        inside, lost = sum(m.energy for m in modules), sum(m.lost for m in modules)
        whole = inside + sum(dropped.values())
        kept = {n: 1 - m.lost / m.energy for n, m in self._measured.items() if m.energy}
        worst = min(kept, key=kept.__getitem__)
        shares = sorted(dropped.items(), key=lambda item: -item[1])
        return AdapterReport(
            base=self._recipe.base,
            recipe_hash=recipe_hash(self._recipe),
            modules=sum(1 for module in modules if module.adapted.rank),
            rank=max(module.adapted.rank for module in modules),
            dtype=self._dtype,
            joined=self._total is not None and self._rank is None,
            dense=self._dense,
            energy=(inside - lost) / whole,
            modules_energy=1 - lost / inside,
            worst=worst.removesuffix(".weight"),
            worst_energy=kept[worst],
            left_out={name: energy / whole for name, energy in shares},
            nbytes=factors_nbytes([module.adapted for module in modules], self._dtype),
        )

    def write(self, folder: Path, about: AdapterReport) -> AdapterReport:
        """Write the folder's files."""
        modules = [module.adapted for module in self._measured.values()]
        about = replace(about, sha256=write_factors(folder, modules, self._dtype, self._spool))
        base = self._merger.base
        causal = not other_architectures(base.config)
        write_lora_config(folder, about.base, modules, base.names(), causal=causal)
        (folder / RECIPE).write_text(dump_recipe(self._recipe), "utf-8")
        record = MergeRecord(self._merger.inputs.parents(), warnings=self._merger.plan.warnings)
        (folder / CARD).write_text(model_card(self._recipe, record, about.subject), "utf-8")
        return about


def _is_written(entry: os.DirEntry[str]) -> bool:
    """Return True for a file of an adapter beside its recipe: trained ones have none."""
    recipe = Path(entry.path).with_name(RECIPE)
    return entry.name in (CONFIG, WEIGHTS, CARD, RECIPE) and recipe.is_file()
