"""Merges that go wrong, set up and repaired: what fails, the library's messages, and why.

Every failure is real and made on demand: no message and no number is stored.
"""
