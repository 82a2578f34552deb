"""The page: views over one frozen Session.

Knows dppa_core's public names, never a tensor.
"""
