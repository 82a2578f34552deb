"""Building blocks of merge methods: treatments, stacks, rankings, sign elections."""
