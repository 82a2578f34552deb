"""Merging coefficients found by minimal entropy of the answers."""
