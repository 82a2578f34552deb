"""A CUDA device imitated on a machine without one: its tensors say cuda:0, and compute on the CPU.

As on real CUDA, an operation of a tensor there with one on the CPU is an error, unless the latter
is a scalar; so is a NumPy view. Only tensors know: `torch.cuda` still says that there is none.

To the C++ of PyTorch the tensors lie on the CPU, since one built for CPUs ends the process when
autograd meets another device. So kernels are chosen as for the CPU, and the numbers are the same.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import _engine_run_backward
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from dppa_core.models import devices
from dppa_core.models.devices import Gpu, GpuCopies
from dppa_core.models.own_step import OwnStep

CUDA, CARD = torch.device("cuda:0"), "a fake card"
aten = torch.ops.aten
ACROSS = {aten.copy_.default}
"""Operations that read one device and write another."""
BY_PLACE = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
"""Operations that may take indices from the CPU."""
PRODUCTS = {
    *(aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default),
    *(aten.linear.default, aten.matmul.default, aten.scaled_dot_product_attention.default),
    aten._scaled_dot_product_flash_attention_for_cpu.default,
}
"""Most of the arithmetic of a forward pass; the whole ones come without autograd alone."""


class FakeCudaTensor(Tensor):
    """A tensor that says it lies on `CUDA`, and holds one on the CPU."""

    inner: Tensor
    operations: Counter[Any] = Counter()
    """Number of operations on such tensors, by name, in all threads."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> "FakeCudaTensor":
        with torch.inference_mode(mode=False):  # views of wrappers made in it fail
            wrapper: FakeCudaTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                requires_grad=inner.requires_grad,
            )
        wrapper.inner = inner
        return wrapper

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        return f"FakeCudaTensor({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return called(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        check(func, args, kwargs)
        cls.operations[func] += 1
        plain = tree_map(inner_of, (args, kwargs))
        output = func(*plain[0], **plain[1])
        if func in ACROSS and not isinstance(args[0], cls):
            return args[0]
        wrappers = {id(inner_of(value)): value for value in tree_flatten((args, kwargs))[0]}
        return tree_map(lambda value: wrappers.get(id(value), on_device(value)), output)


def inner_of(value: Any) -> Any:
    """The tensor on the CPU that a fake one holds; anything else as it is."""
    return value.inner if isinstance(value, FakeCudaTensor) else value


def on_device(value: Any) -> Any:
    """A tensor of the CPU as one on the device; anything else as it is."""
    plain = isinstance(value, Tensor) and not isinstance(value, FakeCudaTensor)
    return FakeCudaTensor(value) if plain else value


def check(func: Any, args: Any, kwargs: Any) -> None:
    """Raise RuntimeError, as CUDA does, for an operation on tensors of two devices."""
    if func in ACROSS:
        return
    checked = args[:1] if func in BY_PLACE else (args, kwargs)
    for value in tree_flatten(checked)[0]:
        if isinstance(value, Tensor) and not isinstance(value, FakeCudaTensor) and value.dim():
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {func} got one of the shape "
                f"{tuple(value.shape)} on the CPU beside others on {CUDA}."
            )


def called(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of PyTorch as Python calls it: moves and creation are handled here."""
    name = getattr(func, "__name__", "")
    if name == "to":
        return moved(args[0], *_target(args[1:], kwargs))
    if name == "cpu":
        return moved(args[0], torch.device("cpu"), None, False)
    if name == "cuda":
        return moved(args[0], CUDA, None, False)
    fake = isinstance(args[0], FakeCudaTensor) if args else False
    if fake and name in ("numpy", "__array__"):
        raise TypeError(f"can't convert {CUDA} device type tensor to numpy. Use Tensor.cpu().")
    if fake and name in ("data_ptr", "untyped_storage", "tolist", "item", "is_shared"):
        return func(args[0].inner, *args[1:], **kwargs)
    on_cuda = "device" in kwargs and torch.device(kwargs["device"] or "cpu").type == "cuda"
    if on_cuda:
        with torch._C.DisableTorchFunctionSubclass():
            return on_device(func(*tree_map(inner_of, args), **(kwargs | {"device": None})))
    if fake and name == "backward":
        with CreatedThere():  # not by `torch.autograd.backward`, whose hooks would be unseen here
            seed = (on_device(torch.ones_like(args[0].inner.detach())),)
            options = {"allow_unreachable": True, "accumulate_grad": True}
            return _engine_run_backward(args[:1], seed, False, False, (), **options)
    if any(isinstance(value, FakeCudaTensor) for value in tree_flatten((args, kwargs))[0]):
        with torch._C.DisableTorchFunctionSubclass(), CreatedThere():
            return func(*args, **kwargs)
    return func(*args, **kwargs)


def moved(tensor: Tensor, device: torch.device | None, dtype: Any, copy: bool) -> Tensor:
    """As `Tensor.to`."""
    fake = isinstance(tensor, FakeCudaTensor)
    target = fake if device is None else device.type == "cuda"
    if fake == target and dtype in (None, tensor.dtype) and not copy:
        return tensor
    if fake == target and fake and not copy:
        with torch._C.DisableTorchFunctionSubclass():
            return tensor.to(dtype)  # as an operation, which autograd sees
    with torch._C.DisableTorchFunctionSubclass():
        value = inner_of(tensor.detach()) if fake else tensor
        value = value.to(dtype or tensor.dtype, copy=True)
        return on_device(value) if target else value


def _target(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, bool]:
    """Device, dtype and copy of the arguments of `Tensor.to`."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    for argument in args:
        if isinstance(argument, Tensor):
            device, dtype = argument.device, argument.dtype
        elif isinstance(argument, torch.dtype):
            dtype = argument
        elif isinstance(argument, str | torch.device):
            device = argument
    return None if device is None else torch.device(device), dtype, kwargs.get("copy", False)


class CreatedThere(TorchDispatchMode):
    """Inside an operation on the device, what PyTorch's own C++ creates lies there too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        has_tensors = any(isinstance(value, Tensor) for value in tree_flatten((args, kwargs))[0])
        return output if has_tensors else tree_map(on_device, output)


class Elsewhere(TorchDispatchMode):
    """Counts products of matrices on the CPU, in the thread that enters it."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        values = tree_flatten((args, kwargs))[0]
        if func in PRODUCTS and not any(isinstance(value, FakeCudaTensor) for value in values):
            self.products += 1
        return func(*args, **(kwargs or {}))


class FakeCuda(TorchFunctionMode):
    """Moves and creation on the device, in the thread that enters it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return called(func, args, kwargs or {})


@dataclass(slots=True)
class Computed:
    """Products of matrices while a block ran, also in threads that it started.

    NumPy and kernels of numba are not seen, but for the steps of `OwnStep`: each counts as one.
    """

    device_products: int = 0
    cpu_products: int = 0


@contextmanager
def counted(modes: list[Elsewhere], steps: list[None]) -> Iterator[None]:
    """Lists a counter for this thread and for each thread that starts, and the steps."""
    run, step = threading.Thread.run, OwnStep.step

    @contextmanager
    def entered() -> Iterator[None]:
        counter = Elsewhere()
        modes.append(counter)
        with FakeCuda(), counter:
            yield

    def run_counted(thread: threading.Thread) -> None:
        with entered():
            run(thread)

    def step_counted(*args: Any) -> Any:
        steps.append(None)
        return step(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "run", run_counted)
        patch.setattr(OwnStep, "step", step_counted)
        with entered():
            yield


@contextmanager
def fake_cuda(*, bfloat16: bool = False, free: int = 1 << 40) -> Iterator[Computed]:
    """Models of any size compute on the device while the block runs.

    Args:
        bfloat16: Whether the card multiplies it.
        free: Bytes left there.
    """
    copies = GpuCopies([Gpu(CUDA, CARD, bfloat16)], lambda _: free)
    computed, modes, steps = Computed(), list[Elsewhere](), list[None]()
    FakeCudaTensor.operations.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "own_copies", lambda: copies)
        patch.setattr(devices, "unused_bytes", lambda _: free)
        patch.setattr(devices, "MIN_GPU_BYTES", 0)
        with counted(modes, steps):
            yield computed
    computed.device_products = sum(FakeCudaTensor.operations[product] for product in PRODUCTS)
    computed.cpu_products = sum(mode.products for mode in modes) + len(steps)
