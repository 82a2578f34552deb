"""The embedded models: how they are specified, trained and described."""
