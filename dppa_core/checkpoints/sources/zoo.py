"""Models that the program ships, by name; and those it ships a part of and fetches the rest.

zoo:base, zoo:math, zoo:finance and zoo:law lie whole in assets/zoo, so do zoo:apart-math and its
like, which were trained without each other. zoo:near-math and its like are packs on zoo:near-base.
zoo:smollm2 is fetched, and zoo:smollm2-math and its like are adapters in assets/adapters on it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Unpack

from dppa_core.checkpoints.sources.fetchable import FETCHABLE, fetch_model
from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.errors import MissingCheckpoint, UnknownName, did_you_mean, shown
from dppa_core.progress import RunControl

ZOO_DOMAINS = ("math", "finance", "law")
"""The embedded domain models; their base is `zoo:base`."""
APART = tuple(f"apart-{domain}" for domain in ZOO_DOMAINS)
"""Those of the same base that never met each other, in the same order."""
ON_BASE = (*ZOO_DOMAINS, *APART)
"""All embedded models of `zoo:base`."""
NEAR_BASE = "near-base"
NEAR = tuple(f"near-{domain}" for domain in ZOO_DOMAINS)
"""Those of a base that knows the answers, in the same order: their deltas are small."""
ZOO_MODELS = ("base", *ON_BASE, NEAR_BASE, *NEAR)
"""The embedded models, base first."""

_ZOO_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


def zoo_root() -> Path:
    """Folder of the embedded models: `DPPA_ZOO`, else the package's, else the repository's."""
    variable = os.environ.get("DPPA_ZOO")
    return Path(variable) if variable else _shipped("zoo")


def _shipped(kind: str) -> Path:
    package = Path(__file__).resolve().parents[2]
    packaged = package / f"_{kind}"
    return packaged if packaged.is_dir() else package.parent / "assets" / kind


def zoo_names() -> tuple[str, ...]:
    """Names of the embedded models, base first, then of those that were fetched."""
    fetched = (set_names(base) for base, model in FETCHABLE.items() if model.is_fetched)
    return (*ZOO_MODELS, *(name for names in fetched for name in names))


def set_names(base: str) -> tuple[str, ...]:
    """Names of a fetchable model and of the domain models shipped for it."""
    return (base, *(f"{base}-{domain}" for domain in ZOO_DOMAINS if _adapter(base, domain)))


def _adapter(base: str, domain: str) -> Path | None:
    folder = _shipped("adapters") / base / domain
    return folder if (folder / "adapter_config.json").is_file() else None


def zoo_base(name: str) -> str:
    """The model below a shipped adapter or pack: smollm2 of smollm2-math; empty for a whole one."""
    if name in NEAR:
        return NEAR_BASE
    base, _, domain = name.rpartition("-")
    return base if base in FETCHABLE and domain in ZOO_DOMAINS else ""


def own_base(reference: str) -> str:
    """The base that a shipped model was made from, zoo:base of any other: zoo:near-base of
    zoo:near-math."""
    base = zoo_base(reference.removeprefix("zoo:")) if reference.startswith("zoo:") else ""
    return f"zoo:{base or 'base'}"


def is_embedded(reference: str) -> bool:
    """Return True for the small models that come with the program."""
    return reference in {f"zoo:{name}" for name in ZOO_MODELS}


def zoo_domain(reference: str) -> str | None:
    """The domain of a shipped domain model, as zoo:math or zoo:smollm2-math; None for others.

    What a form keeps of its delta has the same domain.
    """
    reference = whole_model(reference)
    name = reference.removeprefix("zoo:")
    domain = name.rpartition("-")[2] if zoo_base(name) or name in ON_BASE else name
    return domain if name != reference and domain in ZOO_DOMAINS else None


def needs_fetch(name: str) -> bool:
    """Return True if opening a model would fetch it."""
    model = FETCHABLE.get(zoo_base(name) or name)
    return model is not None and not model.is_fetched


def zoo_folder(name: str, **control: Unpack[RunControl]) -> Path:
    """The folder of a model or of an adapter; a fetchable model is fetched unless it is here."""
    name = checked_zoo_name(name)
    if name in FETCHABLE:
        return fetch_model(FETCHABLE[name], **control)
    folder = _folder(name)
    if not folder.is_dir():
        raise MissingCheckpoint(
            f"zoo:{name}: no folder {folder}. The embedded models are trained by "
            "`dppa zoo train`, or found through the variable DPPA_ZOO."
        )
    return folder


def _folder(name: str) -> Path:
    base = zoo_base(name)
    if base in FETCHABLE:
        return _shipped("adapters") / base / name.removeprefix(f"{base}-")
    return zoo_root() / name


def zoo_path(name: str, assets: Path | None = None) -> str:
    """A model as other programs name it: its folder, or FOLDER+ADAPTER; nothing is fetched.

    Args:
        assets: The folder of this repository's assets; without, the real folders are named.
    """
    base = zoo_base(name)
    if base in FETCHABLE:
        adapters = _shipped("adapters") if assets is None else assets / "adapters"
        return f"{zoo_path(base, assets)}+{adapters / base / name.removeprefix(f'{base}-')}"
    if name in FETCHABLE:
        return str(FETCHABLE[name].folder) if assets is None else name
    path = str((zoo_root() if assets is None else assets / "zoo") / name)
    return f"{zoo_path(base, assets)}+{path}" if base else path


def checked_zoo_name(name: str) -> str:
    """The name, if there is such a model; raises UnknownName with the closest one."""
    names = (*ZOO_MODELS, *(member for base in FETCHABLE for member in set_names(base)))
    if _ZOO_NAME.fullmatch(name) and (
        name in names or (zoo_root() / name / "config.json").is_file()
    ):
        return name
    hint = did_you_mean(f"zoo:{name}", [f"zoo:{member}" for member in names])
    raise UnknownName(f"{shown('zoo:' + name)}: no embedded model of that name. {hint}")
