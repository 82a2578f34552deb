"""The ways to compute a merged tensor: in chunks, whole in one reading, or all deltas combined."""
