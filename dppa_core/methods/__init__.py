"""Merge methods, one per file; `registry` lists them.

Its parts in order; each imports only those before it:

    shared       building blocks of the methods
    .            the methods and their registry
"""
