"""Simulated visitors of the real page: how fast it answers many of them, and what they cost."""
