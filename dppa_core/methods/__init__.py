"""Merge methods, one a file; `registry` knows them all.

Its parts in order; each imports only those before it:

    shared       what methods are built of
    .            the methods and their registry

Knows profiles and stacked deltas, no weights on disk: a method says what is to be done to the delta
of each model, or how one delta is made of some rows of all of them.
"""
