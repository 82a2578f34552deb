"""The embedded models: specification, training and model cards.

Its parts in order; each imports only those before it:

    .            the models: specified, trained, described
    results      tables measured on them
    study        the same merges on sets of other seeds and regimes
    survey       each delta of such sets alone: what foretells how far it can be pruned
    forms        each delta kept in every form, by its size
    conflicts    models of two manners merged, each method with a coefficient for each
"""
