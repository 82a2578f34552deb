"""Findings about a merge as a whole: licences, downloads, disk, memory, time.

Pure functions of facts and of the machine's free resources.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from dppa_core.checkpoints.low_bit.formats import FORMATS
from dppa_core.methods.registry import get_method
from dppa_core.preflight_checks.estimate import (
    WIDTHS,
    Estimate,
    Sizes,
    held_memory,
    in_time,
    matrix_seconds,
)
from dppa_core.preflight_checks.facts import (
    Finding,
    ModelFacts,
    blocker,
    in_bytes,
    note,
    ok,
    warning,
)
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.preflight_checks.model_findings import quantised
from dppa_core.preflight_checks.vocabulary_findings import same_tokens
from dppa_core.pruning.tensor_names import token_tensors
from dppa_core.system.machine import Machine


def sizes_of(
    base: ModelFacts,
    tuned: Sequence[ModelFacts],
    *,
    method: str = "dppa",
    dtype: str = "bfloat16",
    few_bits: bool = False,
    rounds: bool = False,
    workers: int = 1,
) -> Sizes:
    """Sizes for the estimate; files that several models share count once.

    Args:
        dtype: Of the merged weights, or of those that are not of few bits.
        few_bits: True for the first format of few bits.
        rounds: True if each operation of the method is rounded.
    """
    few = next((m for m in (base, *tuned) if m.low_bit), None) if few_bits else None
    missing = {
        (m.reference, name): size for m in (base, *tuned) for name, size in m.missing.items()
    }
    shapes = {name: tensor.shape for name, tensor in base.tensors.items()}
    return Sizes(
        parameters=base.parameters or base.bytes_of_weights // 2,  # of .bin files, half of it
        stored=tuple(model.bytes_of_weights for model in (base, *tuned)),
        missing=sum(missing.values()),
        formats=tuple(dict.fromkeys(m.low_bit or m.stored_dtype for m in (base, *tuned))),
        dtype=few.low_bit if few else dtype,
        folded=_folded(base, few, dtype) if few else 0,
        combines=get_method(method).combination is not None,
        workers=workers,
        moved=_moved(base, tuned),
        held=held_memory(method, len(tuned), shapes, workers, rounds=rounds, folds=few is not None),
        matrix_seconds=matrix_seconds(method, len(tuned), shapes),
    )


def _folded(base: ModelFacts, few: ModelFacts, dtype: str) -> int:
    """Bytes of a merge in the format of a model, whose other tensors are of a dtype."""
    if not base.tensors or not few.tensors:
        return few.bytes_of_weights
    plain = {name: info for name, info in base.tensors.items() if name not in few.folded}
    weights = sum(math.prod(plain[name].shape) for name in base.shapes if name in plain)
    copied = sum(info.size for name, info in plain.items() if name not in base.shapes)
    stored = sum(few.tensors[name].size for name in few.folded)
    return few.beside + stored + weights * WIDTHS[dtype] + copied


def _moved(base: ModelFacts, tuned: Sequence[ModelFacts]) -> int:
    """Bytes of the embeddings of models whose tokens differ from the base's."""
    others = [model for model in tuned if not same_tokens(base, model) or model.rows != base.rows]
    names = [(model, name) for model in others for name in list(token_tensors(model.tensors))[:1]]
    return sum(model.tensors[name].size for model, name in names)


def about_licences(models: Sequence[ModelFacts]) -> Iterator[Finding]:
    """The licence of the merge."""
    models = [part for model in models for part in model.stacked or (model,)]
    stated = {model.reference: model.licence for model in models}
    for model in models:
        stated |= {adapter.reference: adapter.licence for adapter in model.adapters}
    merged = merged_licence(stated)
    for conflict in merged.warnings:
        yield warning(
            "licence",
            "",
            conflict,
            "A merge is made from all of its parents.",
            "Read the licences; keep the merge to yourself where they do not go together.",
        )
    for reference in merged.unstated:
        yield note(
            "licence",
            reference,
            "It states no licence.",
            "Without one, nothing may be passed on.",
            "Look at its page, or ask its authors.",
        )
    if merged.identifier and not merged.warnings:
        yield ok("licence", "", f"The merge stands under {merged.identifier}.")


def about_same_format(models: Sequence[ModelFacts], few_bits: bool) -> Iterator[Finding]:
    """Whether there is a format of few bits, for a merge in it."""
    if not few_bits:
        return
    title = next((model.low_bit for model in models if model.low_bit), "")
    if not title and any(map(quantised, models)):
        return  # a blocker names a format that is not read
    if not title:
        problem = "No model is stored in few bits, so --format same has no format to write."
    elif title in {row.title for row in FORMATS if not row.writable}:
        problem = f"{title} is read here, not written."
    else:
        return
    yield blocker("format", "", problem, "", "Leave --format same out.")


def about_resources(needed: Estimate, machine: Machine) -> Iterator[Finding]:
    """Room and memory of this machine, and the time of the merge."""
    yield _download(needed, machine)
    if needed.download <= machine.disk:
        yield _disk(needed, machine)
    yield _memory(needed, machine)
    yield ok(
        "time",
        "",
        f"The merge itself takes about {in_time(needed.merge_seconds)}.",
        "By the formula in docs/reference/preflight.md, with the files in memory.",
    )


def _download(needed: Estimate, machine: Machine) -> Finding:
    if not needed.download:
        return ok("download", "", "Nothing is to be fetched.")
    sentence = (
        f"{in_bytes(needed.download)} are to be fetched: "
        f"{in_time(needed.download_seconds)} at 100 Mbit/s."
    )
    if needed.download > machine.disk:
        return blocker(
            "download",
            "",
            sentence,
            f"The disk has room for {in_bytes(machine.disk)}.",
            "Free some, or set HF_HOME to another disk.",
        )
    return note("download", "", sentence, "Only the files a merge needs, less what is here.")


def _disk(needed: Estimate, machine: Machine) -> Finding:
    left = machine.disk - needed.download
    place = "where the downloads go, after them" if needed.download else "here"
    sentence = (
        f"The models are {in_bytes(needed.read)} in {', '.join(needed.formats)}, the merge "
        f"{in_bytes(needed.written)} in {needed.dtype}; {in_bytes(left)} are left {place}."
    )
    if needed.written > left:
        return warning("disk", "", sentence, "", "Write it to another disk (--out).")
    return ok("disk", "", sentence)


def _memory(needed: Estimate, machine: Machine) -> Finding:
    sentence = (
        f"Merging takes {in_bytes(needed.merge_memory)} of memory, chatting with the result "
        f"{in_bytes(needed.model_memory)}"
    )
    if machine.memory is None:
        return note("memory", "", f"{sentence}; this system does not say what is left.")
    sentence += f"; {in_bytes(machine.memory)} are left."
    if needed.merge_memory > machine.memory:
        return warning("memory", "", sentence, "", "Close other programs before you merge.")
    if needed.model_memory > machine.memory:
        return warning(
            "memory",
            "",
            sentence,
            "The merge is streamed, a model that answers is not.",
            "Merge here, and chat on a larger machine.",
        )
    return ok("memory", "", sentence)
