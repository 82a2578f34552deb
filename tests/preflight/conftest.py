"""A local Hub with a base and a domain model on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hub_server import HubServer, stand_in
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama

BASE, MATH = "acme/tiny-base", "acme/tiny-math"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Two models, the second in three shards, and an empty cache."""
    server = HubServer()
    base = random_llama(0, Shape(hidden=64, intermediate=128))
    base.save(tmp_path / "models" / "base")
    tuned_llama(base, 1).save(tmp_path / "models" / "math", shards=3)
    server.add(BASE, tmp_path / "models" / "base", card={"license": "apache-2.0"})
    server.add(MATH, tmp_path / "models" / "math", card={"license": "mit", "base_model": BASE})
    stand_in(server, tmp_path / "cache", monkeypatch)
    yield server
    server.close()
