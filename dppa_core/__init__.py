"""Prune, amplify and merge fine-tuned models: the library behind DPPA Studio; knows no interface.

Its packages in order; each imports only those before it:

    system       files, threads and what the machine says
    pruning      the paper's arithmetic on plain numbers
    methods      merge methods, one a file
    kernels      the inner loops, fast
    checkpoints  tensors in files
    tasks        questions, answers and how they are marked
    recipes      a merge as a checked value, and as YAML
    models       torch models: loaded, generating
    profiling    what is measured of the deltas
    merging      a plan carried out, tensor by tensor
    answering    answers to many people, by a process of its own
    evaluation   questions asked, answers scored
    tuning       coefficients and settings found by trying
    studies      what the project measured and shows with the library
    cli          the command line

`errors`, `progress` and `parameters` are known to all.
"""

__version__ = "0.1.0"
