"""The same merge, and the same search, on many machines, by Ray."""
