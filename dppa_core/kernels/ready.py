"""Compiled loops on disk: read without loading the compiler, and compiled before they are needed.

A marker in the cache folder says that numba's own cache holds every loop in the form production
uses; `numba_backend.main` compiles them and writes it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dppa_core.system.folder_cache import cache_folder, load
from dppa_core.system.locks import lock_folder

LOOK_AGAIN_SECONDS = 1.0
"""Seconds between two looks for a compiled loop."""
MIN_COMPILED_WORK = 1 << 26
"""Elements times models from which waiting for the compiler takes less time than torch."""

_COMPILE = f"import os; os.nice(19); from {__package__}.numba_backend import main; main()"
"""Code of the compiling process, which runs behind everything else, its imports as well."""
_READING = threading.Lock()


def read_at_once(compiled: Any) -> None:
    """Make numba read a cached function from disk directly.

    Before reading one it loads all its typing and lowering rules, which takes over 0.1 s. They are
    needed only for compiling, and the compiler loads them itself.
    """
    from numba.core.runtime import nrt  # noqa: PLC0415  (not to ask what is compiled)

    cache = compiled._cache

    def read(signature: Any, context: Any) -> Any:
        nrt.rtsys.initialize(context)  # for arrays allocated by loops
        with cache._guard_against_spurious_io_errors():
            return cache._load_overload(signature, context)

    cache.load_overload = read


def was_compiled(compiled: Any, signature: Any) -> bool:
    """Read a loop for these types of arguments, if it is on disk; other types are then refused."""
    with _READING:
        if compiled.signatures:
            return True
        target = compiled.targetctx
        loaded = compiled._cache.load_overload(signature, target)
        if loaded is not None:
            target.insert_user_function(loaded.entry_point, loaded.fndesc, [loaded.library])
            compiled.add_overload(loaded)
            compiled.disable_compile()
        return loaded is not None


class Readiness:
    """True once a loop is on disk, looked up once in `LOOK_AGAIN_SECONDS`.

    Args:
        compiled: The loop; None without a folder for the cache: then it never is true.
        signature: The types of its arguments.
    """

    def __init__(self, compiled: Any, signature: Any) -> None:
        self._compiled, self._signature = compiled, signature
        self._loaded, self._next = False, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._loaded and self._compiled is not None and now >= self._next:
            self._next = now + LOOK_AGAIN_SECONDS
            self._loaded = was_compiled(self._compiled, self._signature)
        return self._loaded


def usual_backend(work: int) -> str:
    """The backend for work that names none: "torch" while numba's loops are being compiled.

    That happens once a machine, in a process of its own, which the first such work starts.
    `DPPA_COMPILE=0`, large work, and a machine without locks or a cache folder mean "numba" at
    once: it compiles what it needs.

    Args:
        work: Elements of the base times domain models.
    """
    if work >= MIN_COMPILED_WORK or os.environ.get("DPPA_COMPILE") == "0":
        return "numba"
    marker = marker_file()
    return "numba" if is_ready(marker) or not _compiled_elsewhere(marker) else "torch"


def is_ready(marker: Path) -> bool:
    """Return True if the loops were compiled, and numba's cache was not deleted since."""
    index = load(marker)
    return index is not None and Path(os.fsdecode(index)).exists()


def marker_file() -> Path:
    """The marker of these sources, interpreter, numba, processor and folder of numba's cache."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    stamps = [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sources]
    numba = [os.environ.get(f"NUMBA_{name}") for name in ("CACHE_DIR", "CPU_NAME", "CPU_FEATURES")]
    made_of = stamps, str(sources[0]), numba, _machine()
    return cache_folder("compiled") / hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]


@cache
def _machine() -> tuple[str, ...]:
    facts = sys.version, version("numba"), platform.machine()
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        first = iter(lines.readline, "\n")  # one core of perhaps hundreds; frequencies change
        return *facts, *(line for line in first if line.startswith(("model name", "flags", "Feat")))
    return facts


@cache
def _compiled_elsewhere(marker: Path) -> bool:
    """Start to compile in another process, unless one does; False if that is impossible."""
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        os.close(lock_folder(marker.parent))
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMPILE],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BlockingIOError:
        return True
    except OSError:
        return False
    threading.Thread(target=process.wait, name="dppa-compile", daemon=True).start()
    return True
