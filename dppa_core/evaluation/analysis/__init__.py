"""What a delta or a merge looks like inside."""
