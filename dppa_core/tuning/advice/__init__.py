"""Advice on the merge method for given models, with reasons."""
