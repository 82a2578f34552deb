"""A Ray cluster of two nodes on this machine; one for all tests of a file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# The nodes' helpers may start slowly beside other tests; no usage reports.
os.environ.setdefault("RAY_agent_register_timeout_ms", "120000")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(scope="module")
def address(tiny_zoo: Path) -> Iterator[str]:
    """HOST:PORT of its head."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415  (seconds)

    size = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster()
    cluster.add_node(**size, include_dashboard=False)
    cluster.add_node(**size)
    yield cluster.address
    cluster.shutdown()
