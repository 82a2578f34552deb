"""The services behind the page: the memory limit of its two processes."""

import pytest

from components.work.studio import BYTE_BUDGET, Studio
from dppa_core.answering.process import ProcessAnswerer

pytestmark = pytest.mark.usefixtures("zoo_env")


def test_both_processes_of_a_public_page_hold_no_more_than_one_did() -> None:
    studio = Studio(public=True, apart=True)
    answerer = studio.answerer()
    assert isinstance(answerer, ProcessAnswerer)
    assert answerer.byte_budget + studio.pool().byte_budget == BYTE_BUDGET
    studio.close()
