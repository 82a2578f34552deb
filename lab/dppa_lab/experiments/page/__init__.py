"""Results of experiments as text and drawings."""
