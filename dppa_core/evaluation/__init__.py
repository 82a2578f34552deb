"""Exams held, answers scored.

An exam is a number of items of a domain, for a model or a merge; an examiner holds it and gives
marks, one an item; a score is what they come to. Tables show scores.

Its parts in order; each imports only those before it:

    .            exams, scores, tables, perplexity
    analysis     what a delta or a merge looks like inside
    diff         two models compared
"""
