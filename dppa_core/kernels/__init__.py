"""The inner loops, in several backends with identical results; `protocol` defines them."""

from __future__ import annotations

from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.kernels.protocol import Kernels
from dppa_core.kernels.ready import usual_backend

BACKENDS = ("numba", "torch")
"""numba is the fast backend, torch the reference. "cuda" runs the reference on a CUDA device, if
PyTorch sees one."""


def get_backend(name: str, work: int = 0) -> Kernels:
    """The backend of that name.

    Args:
        name: One of `BACKENDS`, "cuda", or "auto".
        work: For "auto", see `usual_backend`.

    Raises:
        UnknownName: no such backend.
        InvalidValue: cuda without a CUDA device.
    """
    name = usual_backend(work) if name == "auto" else name
    # Imported on demand: start-up loads numba or torch only if it is used.
    if name == "numba":
        from dppa_core.kernels import numba_backend as compiled  # noqa: PLC0415

        return compiled
    if name == "torch":
        from dppa_core.kernels import cuda_backend as device  # noqa: PLC0415

        return device.on_one_core()
    if name == "cuda":
        from dppa_core.kernels import cuda_backend as device  # noqa: PLC0415

        return device.cuda()
    raise UnknownName(f"No backend {name!r}. {did_you_mean(name, (*BACKENDS, 'cuda'))}")
