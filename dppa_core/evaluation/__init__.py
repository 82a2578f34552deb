"""Questions asked, answers scored.

Its parts in order; each imports only those before it:

    .            scores, reports, perplexity
    analysis     what a delta or a merge looks like inside
    diff         two models compared
"""
