"""Analyses of deltas and merges."""
