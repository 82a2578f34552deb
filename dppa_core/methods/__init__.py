"""Merge methods, one a file; `registry` knows them all.

Knows profiles and stacked deltas, no weights on disk: a method says what is to be done to the delta
of each model, or how one delta is made of some rows of all of them.
"""
