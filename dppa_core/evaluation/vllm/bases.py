"""The base that a server keeps: whose base it is, and what the server calls it."""

from __future__ import annotations

import shlex
from pathlib import Path

from dppa_core.checkpoints.sources.open import ModelRef, open_checkpoint
from dppa_core.errors import DppaError, InvalidValue, shown
from dppa_core.evaluation.scores import Target, base_of
from dppa_core.evaluation.vllm.server import VllmServer
from dppa_core.recipes.yaml_text import MergeRecipe


def known_base(target: Target) -> str:
    """Reference of the base of a merge, an embedded model, or an adapter; empty if unknown."""
    if isinstance(target, MergeRecipe):
        return target.base
    ref = ModelRef.parse(target)
    if ref.kept:
        return str(ref.kept[1])
    return base_of(target) or (ref.parts()[0] if ref.base else "")


def serve_command(base: str) -> str:
    """The command that serves a base, for messages; `vllm serve BASE` if it is unknown.

    Raises:
        InvalidValue: an adapter, a stack or a kept delta, which vLLM does not serve.
    """
    if not base:
        return "vllm serve BASE"
    if not _whole(base):
        raise InvalidValue(
            f"The base {shown(base)} is no whole model, and vLLM serves no other. `dppa convert` "
            "writes it as a folder: name that as base."
        )
    ref = ModelRef.parse(base)
    name = shlex.quote(_names(base)[1])
    if ref.revision:
        return f"vllm serve {name} --revision {ref.revision}"
    return f"vllm serve {name}"


def served_base(server: VllmServer, target: Target) -> tuple[str, str]:
    """Reference of a target's base, and its name on the server.

    A model that the server keeps is its own base. If the base of a model is unknown, it is the
    server's.

    Raises:
        InvalidValue: a server of another base, or of one that cannot be read here.
        Unreachable: see `VllmServer.bases`.
    """
    if not isinstance(target, MergeRecipe) and _whole(target):
        served = server.served_name(_names(target), _folder(target))
        if served:
            return target, served
    base = known_base(target)
    if base:
        served = server.served_name(_names(base), _folder(base))
        if served:
            return base, served
    for name, root in server.bases() if not base else ():
        try:
            open_checkpoint(root)
        except DppaError as error:
            raise InvalidValue(
                f"{server.address} serves {shown(root)}, and the base of {target} is unknown: its "
                f"change from that is sent, which cannot be read here. {error}"
            ) from error
        return root, name
    raise server.other_base(base or str(target))


def same_model(reference: str, other: str) -> bool:
    """Return True for two references of one model's files."""
    if reference == other:
        return True
    return _whole(reference) and _whole(other) and _folder(reference) == _folder(other)


def _whole(reference: str) -> bool:
    """Return False for an adapter or pack on a model, a stack and a kept delta."""
    ref = ModelRef.parse(reference)
    return ref.base is None and ref.source in ("zoo", "hub", "local")


def _folder(reference: str) -> Path:
    return open_checkpoint(reference).folder.resolve()


def _names(reference: str) -> tuple[str, str]:
    """The reference, and what `vllm serve` takes in its place."""
    ref = ModelRef.parse(reference)
    return reference, ref.location if ref.source == "hub" else str(_folder(reference))
