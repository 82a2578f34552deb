"""The embedded models: how they are specified, trained and described.

Its parts in order; each imports only those before it:

    .            the models: specified, trained, described
    results      tables measured on them
"""
