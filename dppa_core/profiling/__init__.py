"""Measurements of the deltas, made before anything is pruned.

Its parts in order; each imports only those before it:

    .            one pass over a pair of checkpoints, and its cache
    calibration  statistics that need texts run through a model
"""
