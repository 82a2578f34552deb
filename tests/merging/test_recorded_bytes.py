"""Merges, packs, plans and hashes equal the recorded ones."""

from pathlib import Path

import pytest

from tests.reference.recorded_bytes import recipes, recorded, records


@pytest.mark.parametrize("about", recipes())
def test_the_same_recipe_gives_the_same_bytes_as_ever(
    about: str, zoo_env: Path, tmp_path: Path
) -> None:
    assert recorded(recipes()[about], tmp_path) == records()[about]


def test_all_that_is_recorded_is_looked_at() -> None:
    assert set(records()) == set(recipes()) and len(records()) >= 20
