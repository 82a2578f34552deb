"""Import and export of mergekit's recipes."""
