"""One small matrix through a whole merge, step by step, with the library's own functions."""
