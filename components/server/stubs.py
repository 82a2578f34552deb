"""Imports Gradio without writing its stub files, which only editors read.

Gradio (6.31) writes or checks a `.pyi` file beside every component while it creates the class. From
the start of app.py to the first byte of the page: 5.4 s without and 7.6 s with the stubs; the
median difference of seven pairs is 1.7 s (two busy cores).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE, WRITER = "gradio.component_meta", "create_or_modify_pyi"


class WithoutStubs(MetaPathFinder):
    """Finds only the module that writes stubs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's spec, with `_Quietly` as its loader; None for every other module."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == MODULE else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Quietly(spec.loader)
        return spec


class _Quietly(Loader):
    """Loads the module and replaces its function that writes stubs."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if hasattr(module, WRITER):  # other versions may lack it
            setattr(module, WRITER, lambda *_: None)
