"""Headers of safetensors files on the Hub, by HTTP range requests, without the weights.

huggingface_hub's `parse_safetensors_file_metadata` is not used: behind a proxy without range
support it reads all weights into memory, and it checks neither the layout nor the number of values
in a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dppa_core.checkpoints.safetensors_reader import header_length, open_file, parse_header
from dppa_core.checkpoints.sources import hub
from dppa_core.checkpoints.sources.hub import HubModel, cached_folder, hub_errors
from dppa_core.checkpoints.weight_file import TensorInfo
from dppa_core.errors import DamagedCheckpoint, Unreachable

_PARALLEL_REQUESTS = 8
"""Files requested at a time; a model of 70 billion parameters has 15 or more."""


def hub_tensors(model: HubModel, files: Iterable[str]) -> dict[str, TensorInfo]:
    """Name -> dtype and shape of every tensor in some files of a model.

    Fetches the first 8 bytes of each file, then exactly its header; a file on this disk is read
    there.
    """
    names = list(files)
    tensors: dict[str, TensorInfo] = {}
    with ThreadPoolExecutor(min(_PARALLEL_REQUESTS, len(names) or 1), "dppa-headers") as pool:
        for name, part in zip(names, pool.map(lambda n: _tensors(model, n), names), strict=True):
            doubled = next((tensor for tensor in part if tensor in tensors), None)
            if doubled is not None:
                raise DamagedCheckpoint(
                    f"{model}: {doubled} lies in {name} and in another file. Shards of two "
                    "different models are the usual cause."
                )
            tensors |= part
    return tensors


def _tensors(model: HubModel, file: str) -> Mapping[str, TensorInfo]:
    folder = cached_folder(model.name, model.commit, file)
    if folder is not None:
        return open_file(folder / file).tensors
    label, size = Path(f"{model}/{file}"), model.sizes[file]
    length = header_length(label, _range(model, file, 0, min(8, size)), size)
    return parse_header(label, _range(model, file, 8, length) if length else b"", size)[0]


def _range(model: HubModel, file: str, start: int, count: int) -> bytes:
    """Exactly these bytes of a file; a longer answer is not read to its end."""
    from huggingface_hub import hf_hub_url  # noqa: PLC0415  (a third of a second)
    from huggingface_hub.utils import (  # noqa: PLC0415
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    url = hf_hub_url(model.name, file, revision=model.commit)
    requested = {"range": f"bytes={start}-{start + count - 1}", "accept-encoding": "identity"}
    settings = {"headers": {**build_hf_headers(), **requested}, "timeout": hub.ANSWER_SECONDS}
    data = bytearray()
    with (
        hub_errors(model.name, model.commit),
        get_session().stream("GET", url, **settings) as response,
    ):
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        if response.status_code == 206:  # any other status would send all weights
            for part in response.iter_bytes():
                data += part
                if len(data) >= count:
                    break
    if len(data) != count:
        raise Unreachable(
            f"{model}: {file}: asked for {count} bytes from byte {start}, the Hub sent "
            f"{len(data) or 'something else'}. A proxy that answers no ranges is the usual cause."
        )
    return bytes(data)
