"""Merge methods, one per file; `registry` lists them.

Its parts in order; each imports only those before it:

    shared       building blocks of the methods
    spectral     methods that take every linear module as one matrix
    .            the methods and their registry
"""
