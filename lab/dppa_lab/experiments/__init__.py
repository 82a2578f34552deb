"""The paper's experiments and open questions, on any base and its domain models.

`values` defines the format of the results, which the page reads without PyTorch; `runner` runs.

Its parts in order; each imports only those before it:

    .            the frame: settings, a question run, kept and resumed
    paper        the experiments, one a file, and all of them by name
    page         results as text and drawings
"""
