"""Torch models: loaded, on devices, generating."""
