"""What all visitors share, and what runs in the background.

Its parts in order; each imports only those before it:

    .            jobs, limits, the studio
    downloads    files made for visitors
"""
