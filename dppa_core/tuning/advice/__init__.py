"""Which method for these models, with reasons."""
