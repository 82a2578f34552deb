"""AdaMerging: merging coefficients found by entropy minimisation."""
