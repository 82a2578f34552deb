"""Checks that models can be merged, by configurations and headers, before any download."""
