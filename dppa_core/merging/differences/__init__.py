"""What differs from the base in a merge, taken while it is made."""
