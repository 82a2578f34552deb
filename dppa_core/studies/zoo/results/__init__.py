"""Tables measured on the embedded models."""
