"""The command line.

Its parts in order; each imports only those before it:

    .            options, output and errors that commands share
    commands     one command a file
    main         all commands together
"""
