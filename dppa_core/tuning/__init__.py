"""Searches for coefficients and settings of merges.

Its parts in order; each imports only those before it:

    .            greedy soup
    search       the paper's climb, joint searches, studies, grids
    adamerging   coefficients by minimal entropy
    advice       which method for these models, with reasons
"""
