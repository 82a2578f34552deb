"""The ways to compute a merged tensor: in chunks, whole in one reading, or all deltas combined.

Knows raw arrays and treatments, not recipes or files. `tensor_tasks` says when each is taken.
"""
