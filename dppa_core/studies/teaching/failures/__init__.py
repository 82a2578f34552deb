"""Merges that go wrong, set up and repaired: what fails, what the library says, and why.

Every failure is a true one, made while somebody looks: no message and no number is written down.
"""
