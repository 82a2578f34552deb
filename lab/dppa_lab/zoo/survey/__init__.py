"""Retentions of single deltas when they are pruned, and figures that foretell them."""
