"""A merge as an adapter: the factors of its delta, and the folder that PEFT reads."""
