"""One small matrix through a whole merge, step by step, by the functions that merge models.

Knows tiny models in memory; what is computed here is what `merge` computes.
"""
