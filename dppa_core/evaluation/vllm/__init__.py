"""Exams held by a running vLLM server, to which merges are sent as adapters.

It needs no part of vLLM: it speaks HTTP by the standard library.
"""
