"""The fixtures of the library's tests: tiny models, a private cache, one thread, no network."""

from tests.conftest import *  # noqa: F403
