"""Replies computed on the fastest device: small models on the processor, large ones on a GPU.

A model is handed to another process of this program as a file of Python objects, in a folder that
this process alone has just made: no file from elsewhere is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from dppa_core.errors import DppaError
from dppa_core.models.decode import token_steps
from dppa_core.models.devices import copied, gpus, lend
from dppa_core.models.generate import Steps, stream_tokens
from dppa_core.models.reply import GenerationSettings, Prompt, ReplyToken
from dppa_core.models.resident import Resident
from dppa_core.progress import Stop
from dppa_core.system.temporary import TemporaryFolder


def local_reply(
    resident: Resident,
    prompt: Prompt,
    settings: GenerationSettings,
    stop: Stop | None,
    steps: Steps = token_steps,
) -> Iterator[ReplyToken]:
    """As `stream_tokens`, on the processor or a GPU of this process; see `models.devices.lend`."""
    with lend(resident) as placed:
        yield from stream_tokens(placed, prompt, settings, stop, steps)


def replies_from(
    path: Path, prompt: Prompt, settings: GenerationSettings
) -> Iterator[ReplyToken | DppaError]:
    """As `stream_tokens`, in a process forked for a GPU, with a model handed over.

    Args:
        path: From `handed_over`.

    Yields:
        Tokens; an expected error as the last of them, because a raised one would reach the other
        process as the name of its class alone.
    """
    torch.set_num_threads(1)  # the process before the fork has threads that are missing here
    try:
        yield from stream_tokens(taken_over(path), prompt, settings)
    except DppaError as error:
        yield error


@contextmanager
def handed_over(resident: Resident) -> Iterator[Path]:
    """The model as a file for as long as the block runs.

    Not by shared memory: by default a container has 64 MB of it.
    """
    with closing(TemporaryFolder("handed")) as folder:  # of this user alone
        path = folder.path / "model.pt"
        torch.save(replace(resident, made_of={}), path)
        yield path


def taken_over(path: Path) -> Resident:
    """The model of `handed_over`, on the GPU that this process was assigned."""
    # Our own objects, which the restricted loader rejects.
    resident: Resident = torch.load(path, map_location="cpu", mmap=True, weights_only=False)
    for gpu in gpus(assigned=True)[:1]:
        dtype = gpu.number_format(resident.model.dtype, exact=False)
        resident = replace(resident, model=copied(resident.model, gpu.device, dtype))
    return resident
