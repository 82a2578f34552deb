"""The cache folder: its limit, and how rarely it is listed."""

from pathlib import Path

import pytest

from dppa_core.system import folder_cache


def test_a_process_lists_a_folder_at_first_and_when_it_added_a_sixty_fourth_of_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    monkeypatch.setattr(folder_cache, "MAX_CACHE_BYTES", 64 * 100)
    monkeypatch.setattr(folder_cache, "trim", lambda newest: listed.append(newest.name))
    for name, size in (("a", 1), ("b", 30), ("c", 30), ("d", 1)):  # and 16 for a checksum
        folder_cache.store(tmp_path / name, bytes(size))
    assert listed == ["a", "d"]
    assert folder_cache.load(tmp_path / "c") == bytes(30)
