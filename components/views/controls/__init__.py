"""The left column: models, pruning, amplification."""
