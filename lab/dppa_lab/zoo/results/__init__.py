"""Measurements on the embedded models, as tables."""
