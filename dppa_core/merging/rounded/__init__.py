"""Merges in float16 or bfloat16, each operation rounded, in mergekit's order of operations.

Its parts in order; each imports only those before it:

    tensors      one tensor of all models in that dtype
    sums         methods that add deltas or models
    turns        methods that go from one model to others
    .            the pass that applies them
"""
