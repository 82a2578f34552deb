"""The fixtures of the library's tests: tiny models, a private cache, one thread, no network; and a
tokenizer of the embedded models."""

from typing import Any

import pytest

from tests.conftest import *  # noqa: F403


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A small one, trained as that of the embedded models."""
    from dppa_lab.zoo.tokenizer import train_tokenizer  # noqa: PLC0415  (imports torch)

    return train_tokenizer(400, texts=600)
