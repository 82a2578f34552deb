"""Makes files for download: a merged checkpoint, an adapter, delta packs, a report, each one file.

Work ends soon after its `stop` is set; the owner of the folder removes incomplete files.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.figures.report import Reported, report_html
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.lora.to_lora import merge_to_lora
from dppa_core.merging.plan import plan_merge
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.merging.verify import read_merge
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, short_hash

from ...work.downloads.files import ExportedFile, Exports
from ...work.visitor import Visitor
from .export_values import needed_bytes, read_facts

CHUNK_BYTES = 4 * 1024**2
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Timestamp of every file in a zip, so that the same recipe gives the same bytes."""
Tell = Callable[[str, float | None], None]
"""Called with the current step and its progress as a share, if known."""


@dataclass(frozen=True, slots=True)
class ExportWork:
    """Context of a maker, besides the recipe."""

    public: bool
    """True on a public page."""
    tell: Tell
    stop: Stop | None
    rank: int | None = None
    """Of an adapter, see `merge_to_lora`."""


Maker = Callable[[MergeRecipe, Path, ExportWork], Path]
"""Makes one file of a recipe in an empty folder."""


def make_checkpoint(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """The folder that `dppa merge` writes, zipped."""
    merged = folder / f"dppa-{short_hash(recipe)}"
    _merge(recipe, merged, work, end=0.7)
    return zip_folder(merged, folder / f"{merged.name}.zip", work, begin=0.7)


def make_packs(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """One delta pack for each domain model, and the recipe, zipped."""
    packs = folder / f"dppa-{short_hash(recipe)}-packs"
    progress = _progress(work.tell, "Packing")
    pack_models(recipe, packs, sync=False, public=work.public, progress=progress, stop=work.stop)
    (packs / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")
    return zip_folder(packs, folder / f"{packs.name}.zip", work)


def make_adapter(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """The folder that `dppa pack --format lora` writes, zipped."""
    adapter = folder / f"dppa-{short_hash(recipe)}-adapter"
    merge_to_lora(
        recipe,
        adapter,
        rank=work.rank,
        sync=False,
        public=work.public,
        progress=_progress(work.tell, "Decomposing"),
        stop=work.stop,
    )
    return zip_folder(adapter, folder / f"{adapter.name}.zip", work)


def make_report(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """A self-contained web page. The weights are merged for their hashes, then removed."""
    merged = folder / f"dppa-{short_hash(recipe)}"
    warnings = _merge(recipe, merged, work, end=0.8).warnings
    merge = read_merge(merged)
    shutil.rmtree(merged)
    check(work.stop)
    work.tell("Drawing", 0.9)
    plans = plan_merge(open_inputs(recipe, public=work.public, stop=work.stop)).plans
    text = report_html(Reported(merge.recipe, merge.record, plans, warnings))
    check(work.stop)
    target = folder / f"{merged.name}-report.html"
    target.write_text(text, "utf-8")
    return target


def _merge(recipe: MergeRecipe, folder: Path, work: ExportWork, end: float) -> MergeReport:
    progress = _progress(work.tell, "Merging", 0.0, end)
    return merge_to_folder(
        recipe, folder, sync=False, public=work.public, progress=progress, stop=work.stop
    )


MAKERS: Mapping[str, Maker] = {
    "checkpoint": make_checkpoint,
    "adapter": make_adapter,
    "packs": make_packs,
    "report": make_report,
}


def find_maker(kind: object) -> Maker:
    """The maker of a kind of file; raises UnknownName."""
    if not isinstance(kind, str) or kind not in MAKERS:
        raise UnknownName(f"{kind!r:.80}: nothing of that kind. {did_you_mean(str(kind), MAKERS)}")
    return MAKERS[kind]


def make_file(
    recipe: MergeRecipe, kind: str, visitor: Visitor, exports: Exports, work: ExportWork
) -> ExportedFile:
    """Make one file and offer it to a visitor."""
    work.tell("Checking the models", None)
    make, facts = find_maker(kind), read_facts(recipe, public=work.public, stop=work.stop)
    with exports.room(visitor, needed_bytes(facts, kind, work.rank)) as room:
        path = make(recipe, room.folder, work)
        return exports.offer(visitor, room, path, sha256_of(path, work))


def zip_folder(folder: Path, target: Path, work: ExportWork, *, begin: float = 0.0) -> Path:
    """Move the files of a flat folder into a zip of the same name. Not compressed: weights hardly
    shrink. The bytes depend only on names and contents."""
    paths = sorted(folder.iterdir())
    total, written = sum(path.stat().st_size for path in paths), 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            info = zipfile.ZipInfo(f"{folder.name}/{path.name}", EPOCH)
            info.external_attr = 0o644 << 16
            info.file_size = path.stat().st_size
            with archive.open(info, "w") as out, path.open("rb") as source:
                while block := source.read(CHUNK_BYTES):
                    check(work.stop)
                    out.write(block)
                    written += len(block)
                    work.tell("Zipping", begin + (1 - begin) * written / max(total, 1))
            path.unlink()
    folder.rmdir()
    return target


def sha256_of(path: Path, work: ExportWork) -> str:
    """The hash of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(CHUNK_BYTES):
            check(work.stop)
            digest.update(block)
    work.tell("Done", 1.0)
    return digest.hexdigest()


def _progress(tell: Tell, step: str, begin: float = 0.0, end: float = 1.0) -> Progress:
    def progress(count: int, total: int, _item: str) -> None:
        share = begin + (end - begin) * count / total if total > 1 else None
        tell(f"{step}: {count} of {total}" if total > 1 else f"{step} …", share)

    return progress
