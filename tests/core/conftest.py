"""Property tests draw the same examples on every run and have no deadline: machines differ."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("repeatable")
