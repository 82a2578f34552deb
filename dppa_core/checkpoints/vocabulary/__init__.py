"""Tokenizers, added tokens and chat templates of several models, as one vocabulary."""
