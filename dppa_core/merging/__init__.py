"""Merges: a plan carried out tensor by tensor, into a folder, a pack or memory.

Its parts in order; each imports only those before it:

    cards        files beside the weights
    passes       the ways to compute a tensor
    rounded      another one: every operation rounded to 16 bits
    differences  what differs from the base, for packs and patches
    low_bit      a merge in the low-bit format of its base
    .            inputs, plan and tensors of a merge; folders and packs
    lora         a merge as an adapter
    in_memory    merges that live in memory and answer
    cluster      the same merge on many machines
"""
