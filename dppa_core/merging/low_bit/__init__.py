"""A merge written in the low-bit format that its base came in."""
