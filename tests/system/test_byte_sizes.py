"""Sizes as people write them, and the budget of memory."""

import pytest

from dppa_core.errors import InvalidValue
from dppa_core.system import byte_sizes
from dppa_core.system.byte_sizes import MEMORY_VARIABLE, memory_budget, parse_size, use_budget


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5 * 10**9),
        ("500MB", 500 * 10**6),
        ("1.5 gb", 1_500_000_000),
        ("800KB", 800_000),
        ("2TB", 2 * 10**12),
        ("0.1GB", 10**8),
        ("12B", 12),
        ("1", 1),
        (" 123456 ", 123456),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GB", "-5GB", "0", "0GB", "1.5", "5GiB", "5G", "nan", "5,5GB", "1e9", "٥GB", "5  GB"],
)
def test_other_sizes_are_refused_naming_the_forms(text: str) -> None:
    with pytest.raises(InvalidValue, match="like 5GB, 500MB, 1.5GB or a number of bytes") as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


def test_half_of_the_free_memory_is_the_budget_unless_one_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    monkeypatch.setattr(byte_sizes, "available_memory", lambda: 24 * 10**9)
    assert memory_budget() == 12 * 10**9
    use_budget(None)
    assert memory_budget() == 12 * 10**9
    monkeypatch.setenv(MEMORY_VARIABLE, "1 GB")  # restored after the test, whatever is set below
    use_budget("6GB")
    assert memory_budget() == 6 * 10**9
    with pytest.raises(InvalidValue, match="--memory must be like 5GB.*got '6 gigs'"):
        use_budget("6 gigs")
    with pytest.raises(InvalidValue, match="--memory 12 is 12 bytes.*write 12GB"):
        use_budget("12")
    monkeypatch.setenv(MEMORY_VARIABLE, "much")
    with pytest.raises(InvalidValue, match="DPPA_MEMORY must be like"):
        memory_budget()
