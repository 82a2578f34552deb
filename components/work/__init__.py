"""Services that all visitors share, and background work.

Its parts in order; each imports only those before it:

    .            jobs, limits, the studio
    downloads    files made for visitors
"""
