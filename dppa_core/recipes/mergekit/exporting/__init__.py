"""Export of our recipes to mergekit."""
