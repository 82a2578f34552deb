"""The commands, one a file.

Its parts in order; each imports only those before it:

    zoo          the commands of `dppa zoo`
    .            the others
"""
