"""Merge methods, one a file; `registry` knows them all.

Knows profiles and recipes' values, never weights: a method says what is to be done to each tensor.
"""
