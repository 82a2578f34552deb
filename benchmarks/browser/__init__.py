"""Words of the embedded models: written in the visitor's tab, beside those of the server."""
