"""Reads, writes and matches tensors in files.

Its parts in order; each imports only those before it:

    folders      the files of a model's folder, and which may be opened
    low_bit      formats that store a weight in few bits
    .            readers, writers and the `Checkpoint` protocol
    adapters     LoRA and delta packs, seen as whole models
    vocabulary   tokenizers, added tokens, chat templates
    sources      opens a checkpoint by its path or its name on the Hub
"""
