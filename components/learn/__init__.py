"""Lessons.

Its parts in order; each imports only those before it:

    blocks       one live block of a lesson a file
    .            lessons, their text and their questions to the server
"""
