"""The experiments.

Its parts in order; each imports only those before it:

    why          why factors help: losses foretold and measured
    .            the others, one a file, and the list of all
"""
