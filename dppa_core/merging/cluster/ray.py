"""A Ray cluster: joining it, and tasks on its nodes that are repeated if a node is lost.

Ray is the extra `ray`, imported when a cluster is joined.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from dppa_core.errors import InvalidValue, Unreachable
from dppa_core.extras import install_command
from dppa_core.progress import Stop, check

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 8
"""Restarts of a task whose process or node is lost; its own errors end the work."""

_WAIT_SECONDS = 0.5
"""Time between checks of `stop`."""

_VARIABLES = ("DPPA_CACHE", "DPPA_COMPILE", "DPPA_ZOO", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")
"""Variables passed on to the nodes; no token, which would appear in the cluster's log."""


class Cluster:
    """A joined cluster."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def cores(self) -> int:
        """Cores of all nodes that are present."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def nodes(self) -> int:
        """Number of nodes that are present."""
        return sum(node["Alive"] for node in self._ray.nodes())

    def run(
        self,
        function: Callable[[Any, Item], Result],
        shared: object,
        items: Sequence[Item],
        threads: int = 1,
        stop: Stop | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """(place, result) of `function(shared, item)` for every item, in order of completion.

        Args:
            function: Defined in a module, so that every node finds it; harmless when repeated.
            shared: Sent to every node once.
            threads: Cores of a task.
            stop: Ends the work; running tasks end by themselves, and are not waited for.

        Raises:
            DppaError: a task's own, or all its nodes were lost.
            Cancelled: `stop` was set.
        """
        ray = self._ray
        remote = ray.remote(num_cpus=threads, max_retries=RETRIES)(function)
        handed = ray.put(shared)
        places = {remote.remote(handed, item): place for place, item in enumerate(items)}
        waiting = list(places)
        try:
            while waiting:
                check(stop)
                ready, waiting = ray.wait(waiting, num_returns=1, timeout=_WAIT_SECONDS)
                for task in ready:
                    yield places[task], self._result(task)
        finally:
            for task in waiting:
                ray.cancel(task)

    def caller(
        self, function: Callable[[Any, Item], Result], shared: object
    ) -> Callable[[Item], Result]:
        """`function(shared, item)`, see `run`, on one core of any node; any thread may call it."""
        ray = self._ray
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(function)
        handed = ray.put(shared)

        def call(item: Item) -> Result:
            reference, finished = remote.remote(handed, item), False
            try:
                while not finished:
                    finished = bool(ray.wait([reference], timeout=_WAIT_SECONDS)[0])
            finally:
                if not finished:
                    ray.cancel(reference)
            return cast(Result, self._result(reference))

        return call

    def _result(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines()
            raise Unreachable(
                f"The cluster lost a task {RETRIES + 1} times, the last time with: {lines[0]} "
                "Out of memory is the usual cause: give each task more cores (--workers), so that "
                "fewer run beside each other on a node."
            ) from error


@contextmanager
def joined(address: str) -> Iterator[Cluster]:
    """Join a cluster while the block runs; one that is joined already stays joined.

    Args:
        address: `auto` for the cluster this machine is a node of, `local` for one on this machine
            alone, `HOST:PORT` of a head node, or `ray://HOST:PORT` from outside.

    Raises:
        InvalidValue: Ray is not installed.
        Unreachable: no cluster answers there.
    """
    ray = _ray()
    if ray.is_initialized():
        yield Cluster(ray)
        return
    try:
        ray.init(
            address=address,
            namespace="dppa",
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": _environment()},
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise Unreachable(
            f"No Ray cluster at {address!r}: {' '.join(str(error).split())[:200]} Start one with "
            "`ray start --head`, or take `local` for this machine alone."
        ) from error
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # would contact another host
    try:
        import ray  # noqa: PLC0415  (an extra, and seconds)
        import ray.exceptions  # noqa: PLC0415
    except ImportError as error:
        raise InvalidValue(
            f"--ray needs Ray, which is not installed: {install_command('ray')}, on this machine "
            "and on every node."
        ) from error
    return ray


def _environment() -> dict[str, str]:
    """Environment of the nodes' processes."""
    package = str(Path(__file__).resolve().parents[3])  # if it is not installed
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    passed = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return passed | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
