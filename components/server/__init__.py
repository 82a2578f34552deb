"""How the page is served: what is closed, bounded and fair.

Its parts in order; each imports only those before it:

    guards       what a request may be
    queue        whose turn it is, and what is remembered of visitors
    .            settings, log, health, start and end
"""
