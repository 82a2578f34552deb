"""Gradio without its stubs: at every import it parses its own sources, for editors.

Gradio (6.31) writes a `.pyi` file beside every component while the class is made, or finds that the
one there is right. That is half the time of `import gradio`, and no program reads them. From the
start of app.py to the first byte of the page: 5.4 s so and 7.6 s with the stubs, 1.7 s less in the
middle of seven pairs (two busy cores).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

MODULE, WRITER = "gradio.component_meta", "create_or_modify_pyi"


class WithoutStubs(MetaPathFinder):
    """Finds the module that writes stubs, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is, to be loaded by `_Quietly`; None for every other."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == MODULE else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Quietly(spec.loader)
        return spec


class _Quietly(Loader):
    """Loads the module as it is, and takes its writer away."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if hasattr(module, WRITER):  # of another version it may be gone
            setattr(module, WRITER, _nothing)


def _nothing(*_: object) -> None:
    """In the writer's place."""
