"""The paper's experiments, and the questions it leaves open, on any base and its domain models.

`values` defines the format of the results, which the page reads without PyTorch; `runner` runs.
"""
