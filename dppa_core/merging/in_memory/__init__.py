"""Merges in memory: kept, lent, rewritten in place, computed on a GPU."""
