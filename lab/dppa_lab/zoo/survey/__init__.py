"""What single deltas keep when they are pruned, and what tells it beforehand."""
