"""Methods that take every linear module as one matrix: its singular values and directions."""
