"""A model in memory handed to another process of this program, by a file.

Knows models in memory; no recipe, no page. The file holds Python objects: it lies in a folder that
this process alone made a moment ago, and nothing that came from elsewhere is read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from dppa_core.models.resident import Resident
from dppa_core.system.temporary import Scratch


@contextmanager
def handed_over(resident: Resident) -> Iterator[Path]:
    """The model as a file for as long as the block runs.

    Not by shared memory: of that a container has 64 MB, if nobody asked for more.
    """
    with closing(Scratch("handed")) as folder:  # of this user alone
        path = folder.path / "model.pt"
        torch.save(replace(resident, made_of={}), path)
        yield path


def taken_over(path: Path, device: torch.device) -> Resident:
    """The model of `handed_over`, on a device."""
    # Our own objects, which the restricted loader does not know.
    found: Resident = torch.load(path, map_location="cpu", mmap=True, weights_only=False)
    found.model.to(device)
    return found
