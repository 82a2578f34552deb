"""Measurements and demonstrations made with the library.

Its parts in order; each imports only those before it:

    zoo          the embedded models: specified, trained, measured
    teaching     small merges with every step shown, and failures on purpose
    experiments  the paper's experiments, run, kept and resumed
"""
