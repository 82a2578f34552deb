"""What `make defences` takes away is still there, and so are the tests that must fail then."""

import pytest

from tests.helpers.defences import DEFENCES, ROOT, Defence


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.title)
def test_a_defence_and_its_test_are_there(defence: Defence) -> None:
    assert (ROOT / defence.file).read_text("utf-8").count(defence.text) == 1
    file, _, name = defence.test.partition("::")
    assert f"def {name.partition('[')[0]}" in (ROOT / file).read_text("utf-8")
