"""A merge as a checked value, and as YAML.

Its parts in order; each imports only those before it:

    .            the value, its checks, its YAML and its hash
    mergekit     import and export of mergekit's recipes
"""
