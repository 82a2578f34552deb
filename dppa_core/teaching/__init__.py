"""Small merges and failures for lessons.

Its parts in order; each imports only those before it:

    by_hand      one matrix through a whole merge, every step shown
    failures     merges that go wrong, on purpose
"""
