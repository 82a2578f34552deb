"""Whose turn it is, and what is remembered of visitors."""
