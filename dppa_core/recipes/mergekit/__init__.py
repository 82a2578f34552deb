"""Import and export of mergekit's recipes.

Its parts in order; each imports only those before it:

    .            import: text, keys, values, methods
    exporting    export
"""
