"""Forms in which a delta is kept: sparse, drawn, low rank, bits, and sums of these."""
