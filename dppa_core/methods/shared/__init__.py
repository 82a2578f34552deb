"""What merge methods are built of: treatments, stacks, rankings, sign elections."""
