"""Load test: how fast the page answers many simulated visitors, and what they cost."""
