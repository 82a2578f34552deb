"""From a reference (embedded, a folder, the Hub) to an open checkpoint."""
