"""Conversion of any readable model to an ordinary folder of safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint
from dppa_core.checkpoints.adapters.kept_pack import KeptPackCheckpoint
from dppa_core.checkpoints.adapters.lora import LoraCheckpoint
from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint, PageReleaser
from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.folders.architectures import pipeline_tag
from dppa_core.checkpoints.folders.sentence_files import (
    MODULES,
    SENTENCE_SIMILARITY,
    library_name,
)
from dppa_core.checkpoints.matching import check_finite, tied
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.checkpoints.shard_writer import SHARD_SIZE, WeightsWriter, one_hash
from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint, pinned
from dppa_core.checkpoints.sources.references import hub_parts, short_name
from dppa_core.errors import InvalidValue, NonFiniteWeights, shown
from dppa_core.merging.folder import (
    check_target,
    copy_companions,
    new_folder,
    write_config,
)
from dppa_core.preflight_checks.provenance import Parent, parent_of
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.floats import DTYPE_CODES, FLOATS, from_float32, to_float32
from dppa_core.pruning.tensor_names import find_embedding, find_head, is_buffer


@dataclass(frozen=True, slots=True)
class Conversion:
    """A finished conversion."""

    source: str
    """Reference of the model, with its commit if it is on the Hub."""
    read_from: tuple[str, ...]
    """Names of the weight files that were read."""
    tensors: int
    parameters: int
    """Elements of all tensors written."""
    dtypes: tuple[str, ...]
    """Codes of safetensors headers, sorted."""
    notes: tuple[str, ...]
    sha256: str
    """Of model.safetensors; for several files, of the lines `sha256sum` prints for them."""
    files: dict[str, str]
    """SHA-256 of every weight file, by its name."""


def convert_to_folder(
    reference: str,
    out: str | Path,
    *,
    dtype: str | None = None,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
    sync: bool = True,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Conversion:
    """Write a model as safetensors, with its configuration and tokenizer; whole or not at all.

    Args:
        reference: The model; with an adapter, the sum of both.
        dtype: bfloat16, float16 or float32 for the weights; each keeps its own if unset, or its
            base's where an adapter or a form changes it. Buffers such as rotary frequencies always
            keep theirs.
        overwrite, shard_size, sync: See `merge_to_folder`.
        progress: Called after each tensor, and while a model is fetched.
        stop: Ends the conversion between two tensors; nothing is left behind.

    Raises:
        InvalidValue: unknown dtype, or the folder exists already or cannot be written.
        NotAllowed: the folder may not be replaced; see `check_target`.
        CheckpointError: the model cannot be read.
        NonFiniteWeights: the requested dtype cannot hold a weight.
    """
    if dtype is not None and dtype not in DTYPE_CODES:
        raise InvalidValue(f"dtype must be one of {', '.join(DTYPE_CODES)}, got {shown(dtype)}.")
    out = Path(out)
    check_target(out, (), overwrite=overwrite)  # before the long part, and again after it
    reference = pinned(reference)
    source = open_checkpoint(reference, progress=progress, stop=stop)
    specs, notes = _specs(source, dtype)
    pairs = zip(ModelRef.parse(reference).parts(), source.folders, strict=True)
    parents = tuple(parent_of(*pair) for pair in pairs)
    with new_folder(out, source.folders, overwrite=overwrite, sync=sync) as folder:
        files = _write_weights(source, specs, folder, shard_size, progress, stop)
        write_config(source.config, dtype, folder)
        notes += copy_companions(source.folder, folder)
        conversion = Conversion(
            source=reference,
            read_from=tuple(sorted({path.name for path in source.identities()})),
            tensors=len(specs),
            parameters=sum(spec.numel for spec in specs),
            dtypes=tuple(sorted({spec.dtype for spec in specs})),
            notes=notes,
            sha256=one_hash(files),
            files=files,
        )
        sentences = (folder / MODULES).is_file()
        pipeline = SENTENCE_SIMILARITY if sentences else pipeline_tag(source.config)
        card = _card(conversion, dtype, parents, pipeline)
        (folder / "README.md").write_text(card, "utf-8")
    return conversion


def _specs(source: Checkpoint, dtype: str | None) -> tuple[list[TensorSpec], tuple[str, ...]]:
    """The tensors to write, and notes for people."""
    names, code = list(source.names()), DTYPE_CODES.get(dtype or "")
    notes: tuple[str, ...] = ()
    head = find_head(names)
    if head and source.config.get("tie_word_embeddings") is True and tied(source):
        names.remove(head)  # as transformers saves it
        notes = (f"{head} is {find_embedding(names)}, and written once.",)
    return [TensorSpec(n, _target(source, n, code), source.shape(n)) for n in names], notes


def _write_weights(
    source: Checkpoint,
    specs: Sequence[TensorSpec],
    folder: Path,
    shard_size: int,
    progress: Progress | None,
    stop: Stop | None,
) -> dict[str, str]:
    """Write the weights; SHA-256 of every file."""
    dtypes, releaser = {spec.name: spec.dtype for spec in specs}, PageReleaser([source])
    with closing(WeightsWriter(folder, specs, shard_size)) as writer:
        for index, name in enumerate(writer.names):
            check(stop)
            report(progress, index, len(writer.names), name)
            raw, stored = source.raw(name), source.dtype(name)
            for first, last in slices(raw.size):
                part = raw[first:last]
                writer.place(name, cast(part, stored, dtypes[name], name, first), first)
                releaser.read(part.nbytes)
        report(progress, len(writer.names), len(writer.names), "converted")
        return writer.finish()


def _target(source: Checkpoint, name: str, code: str | None) -> str:
    """The dtype a tensor is written in: that of its base, as a merge's, if an adapter or a form
    changes it, and bfloat16 if it is stored in few bits."""
    stored = source.dtype(name)
    if is_buffer(name, source.shape(name)) or stored not in (*FLOATS, "F64"):
        return stored
    if code is not None:
        return code
    while (unchanged := _unchanged(source, name)) is not None:
        source, name = unchanged
    few = isinstance(source, FolderCheckpoint) and source.folded(name) is not None
    return "BF16" if few else source.dtype(name)


def _unchanged(source: Checkpoint, name: str) -> tuple[Checkpoint, str] | None:
    """The base of an adapter or a form, and its name of a tensor; None if nothing is changed."""
    if isinstance(source, (KeptCheckpoint, KeptPackCheckpoint)):
        return source.changed(name)
    if isinstance(source, LoraCheckpoint) and name in source.base.names():
        return source.base, name
    return None


def cast(
    raw: Shaped[ndarray, " n"], stored: str, dtype: str, name: str, offset: int = 0
) -> Shaped[ndarray, " n"]:
    """Weights in another dtype, rounded to nearest even; the same array if it has that dtype.

    Args:
        raw: As `Checkpoint.raw` gives them, of the dtype `stored`; float64 goes through float32.
        offset: Index of the first element in the tensor.

    Raises:
        NonFiniteWeights: NaN or infinity, or a value the dtype cannot hold.
    """
    if stored == dtype:
        return raw
    wide = raw.astype("float32") if stored == "F64" else to_float32(raw, stored)
    check_finite(wide, "F32", name, "the model", offset)
    narrow = from_float32(wide, dtype)
    try:
        check_finite(narrow, dtype, name, "the model", offset)
    except NonFiniteWeights:
        largest = float(abs(wide).max())
        raise NonFiniteWeights(
            f"{name}: a weight of {largest:g} does not fit into {dtype}. dtype float32 or "
            "bfloat16 has room up to 3e38."
        ) from None
    return narrow


def _card(
    conversion: Conversion, dtype: str | None, parents: tuple[Parent, ...], pipeline: str
) -> str:
    """The README.md: origin of the weights. The same conversion gives the same text."""
    licences, source = {parent.licence for parent in parents}, conversion.source
    licence = next(iter(licences)) if len(licences) == 1 else None
    front = [f"library_name: {library_name(pipeline)}"]
    front += [f"pipeline_tag: {pipeline}"] if pipeline else []
    front += [f"license: {licence}"] if licence and not licence.startswith("other (") else []
    hub = [part[4:].partition("@")[0] for part in hub_parts(source)]
    front += ["base_model:", *(f"- {name}" for name in hub)] if hub else []
    command = f"dppa convert {source} --out DIR" + (f" --dtype {dtype}" if dtype else "")
    kept = "dtypes as they were" if dtype is None else f"all weights rounded to {dtype}"
    rows = [f"| `{name}` | `{sha256}` |" for name, sha256 in conversion.files.items()]
    return "\n".join(
        [
            *("---", *front, "---", f"# {short_name(source)} as safetensors\n"),
            f"The weights of `{source}`, read from {', '.join(conversion.read_from)}; {kept}. "
            f"{conversion.tensors} tensors, {conversion.parameters} parameters. "
            "Nothing was trained.\n",
            *(f"{note}\n" for note in conversion.notes),
            "Licence: "
            + "; ".join(f"`{p.reference}`: {p.licence or 'not stated'}" for p in parents)
            + "\n",
            *("| file | SHA-256 |", "| --- | --- |", *rows, ""),
            f"```\n{command}\n```\n",
        ]
    )
