"""Whether models can be merged, found from configurations and headers before any download."""
