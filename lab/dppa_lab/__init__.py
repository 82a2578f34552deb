"""The laboratory of DPPA Studio: trains the embedded models, measures, and writes reports.

Its packages in order; each imports only those before it, and of the library what
lab/tests/test_lab_architecture.py lists:

    zoo          the embedded models: specified, trained, measured
    experiments  the paper's experiments, run, kept and resumed
    reports      the page's file, figures and tables, from measured data
    commands     what is added to the command line
"""
