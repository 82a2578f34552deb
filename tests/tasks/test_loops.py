"""Loops at the end of replies, by hand."""

import pytest

from dppa_core.tasks.loops import is_loop


@pytest.mark.parametrize(
    ("reply", "loops"),
    [
        ([5, 6] + [1, 2] * 4, True),
        ([5, 6] + [1, 2] * 4 + [1], True),  # cut within a piece
        ([1, 2] * 3 + [1], False),  # three times and a half
        ([9] + [1, 2, 3] * 4, True),
        ([1, 2, 3] * 4 + [9], False),  # it got out again
        ([1, 2, 3] * 2 + [7] + [1, 2, 3] * 2, False),
        ([3] * 8, True),
        ([1, 2, 3] + [0] * 7, False),  # the digits of a large number
        ([1, 2, 1, 3] * 4, True),
        (list(range(40)), False),
        ([], False),
        ([1], False),
    ],
)
def test_a_loop_is_one_piece_four_times_at_the_end(reply: list[int], loops: bool) -> None:
    assert is_loop(reply) is loops
