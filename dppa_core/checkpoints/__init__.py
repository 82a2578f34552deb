"""Tensors in files: read, written, matched.

Its parts in order; each imports only those before it:

    folders      which files a model's folder has, and which may be opened
    .            readers, writers and the checkpoint that both share
    adapters     LoRA and delta packs, seen as whole models
    vocabulary   tokenizers, added tokens, chat templates
    sources      from a path or a name at the Hub to an open checkpoint
"""
