"""Scores and searches."""
