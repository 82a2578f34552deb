"""How well each form of a delta answers, beside its bytes and the size of the delta."""
