"""Merges that live in memory: kept, lent, rewritten in place, computed on a GPU."""
