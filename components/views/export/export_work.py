"""Makes files for download: a merged checkpoint, delta packs, a report, each one file.

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
from dppa_core.merging.plan import plan_merge
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.merging.verify import read_merge
from dppa_core.progress import Progress, Stop, check
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, short_hash

CHUNK = 4 * 1024**2
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Timestamp of every file in a zip, so that the same recipe gives the same bytes."""
Tell = Callable[[str, float | None], None]
"""Called with the current step and its progress as a share, if known."""


@dataclass(frozen=True, slots=True)
class ExportWork:
    """Context of a maker, besides the recipe."""

    public: bool
    """Whether this is a public page."""
    tell: Tell
    stop: Stop | None


Maker = Callable[[MergeRecipe, Path, ExportWork], Path]
"""Makes one file of a recipe in an empty folder."""


def make_checkpoint(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """The folder that `dppa merge` writes, zipped."""
    made = folder / f"dppa-{short_hash(recipe)}"
    merge_to_folder(
        recipe,
        made,
        sync=False,
        public=work.public,
        progress=_teller(work.tell, "Merging", 0.0, 0.7),
        stop=work.stop,
    )
    return zip_folder(made, folder / f"{made.name}.zip", work, begin=0.7)


def make_packs(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """One delta pack for each domain model, and the recipe, zipped."""
    made = folder / f"dppa-{short_hash(recipe)}-packs"
    pack_models(
        recipe,
        made,
        sync=False,
        public=work.public,
        progress=_teller(work.tell, "Packing"),
        stop=work.stop,
    )
    (made / "recipe.yaml").write_text(dump_recipe(recipe), "utf-8")
    return zip_folder(made, folder / f"{made.name}.zip", work)


def make_report(recipe: MergeRecipe, folder: Path, work: ExportWork) -> Path:
    """A self-contained web page. The weights are merged for their hashes, then removed."""
    made = folder / f"dppa-{short_hash(recipe)}"
    progress = _teller(work.tell, "Merging", 0.0, 0.8)
    told = merge_to_folder(
        recipe, made, sync=False, public=work.public, progress=progress, stop=work.stop
    )
    found = read_merge(made)
    shutil.rmtree(made)
    check(work.stop)
    work.tell("Drawing", 0.9)
    plans = plan_merge(open_inputs(recipe, public=work.public, stop=work.stop)).plans
    text = report_html(Reported(found.recipe, found.record, plans, told.warnings))
    check(work.stop)
    target = folder / f"{made.name}-report.html"
    target.write_text(text, "utf-8")
    return target


MAKERS: Mapping[str, Maker] = {
    "checkpoint": make_checkpoint,
    "packs": make_packs,
    "report": make_report,
}


def find_maker(kind: object) -> Maker:
    """The maker of a kind of file; raises UnknownName."""
    if not isinstance(kind, str) or kind not in MAKERS:
        raise UnknownName(f"{kind!r:.80}: nothing of that kind. {did_you_mean(str(kind), MAKERS)}")
    return MAKERS[kind]


def zip_folder(folder: Path, target: Path, work: ExportWork, *, begin: float = 0.0) -> Path:
    """Move the files of a flat folder into a zip of the same name. Not compressed: weights hardly
    shrink. The bytes depend only on names and contents."""
    paths = sorted(folder.iterdir())
    total, done = sum(path.stat().st_size for path in paths), 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            info = zipfile.ZipInfo(f"{folder.name}/{path.name}", EPOCH)
            info.external_attr = 0o644 << 16
            info.file_size = path.stat().st_size
            with archive.open(info, "w") as out, path.open("rb") as source:
                while block := source.read(CHUNK):
                    check(work.stop)
                    out.write(block)
                    done += len(block)
                    work.tell("Zipping", begin + (1 - begin) * done / max(total, 1))
            path.unlink()
    folder.rmdir()
    return target


def sha256_of(path: Path, work: ExportWork) -> str:
    """The hash of a file."""
    found = hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(CHUNK):
            check(work.stop)
            found.update(block)
    work.tell("Done", 1.0)
    return found.hexdigest()


def _teller(tell: Tell, what: str, begin: float = 0.0, end: float = 1.0) -> Progress:
    def progress(done: int, total: int, _what: str) -> None:
        share = begin + (end - begin) * done / total if total > 1 else None
        tell(f"{what}: {done} of {total}" if total > 1 else f"{what} …", share)

    return progress
