"""The inner loops, in several backends of the same bytes; `protocol` says what each offers."""

from __future__ import annotations

from dppa_core.errors import UnknownName, did_you_mean
from dppa_core.kernels.protocol import Kernels

BACKENDS = ("numba", "torch")
"""numba is the fast one; torch the plain reference. There is "cuda" too, where PyTorch sees such a
device: the reference on it."""


def get_backend(name: str) -> Kernels:
    """The implementation of that name.

    Raises:
        UnknownName: there is no such backend.
        InvalidValue: cuda, and no such device.
    """
    # Imported when asked for: start-up pays for numba or torch only where one is used.
    if name == "numba":
        from dppa_core.kernels import numba_backend as compiled  # noqa: PLC0415

        return compiled
    if name == "torch":
        from dppa_core.kernels import torch_backend as reference  # noqa: PLC0415

        return reference
    if name == "cuda":
        from dppa_core.kernels import cuda_backend as device  # noqa: PLC0415

        return device.cuda()
    raise UnknownName(f"No backend {name!r}. {did_you_mean(name, (*BACKENDS, 'cuda'))}")
