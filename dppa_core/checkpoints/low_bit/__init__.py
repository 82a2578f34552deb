"""Weights of a few bits: how each format stores a matrix as several tensors, read and written."""
