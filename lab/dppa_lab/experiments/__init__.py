"""The paper's experiments and open questions, on any base and its domain models.

An experiment makes tables and plots; what they show is written by hand in lab/data/findings.yaml.
`dppa_core.charts.report` defines the format of the results; `runner` runs.

Its parts in order; each imports only those before it:

    .            the frame: settings, a question run, kept and resumed; the overview; a run's page
    paper        the experiments, one a file, and all of them by name
"""
