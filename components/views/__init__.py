"""The views of the page; none imports another.

Its parts:

    controls     the left column: models, pruning, amplification
    see          the middle column: what the merge keeps
    chat         the right column: answers
    score        scores and searches
    export       downloads, reports, pushes to the Hub
"""
