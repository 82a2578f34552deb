"""What single deltas keep when they are pruned, and what foretells it."""
