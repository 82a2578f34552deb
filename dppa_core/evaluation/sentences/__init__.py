"""Encoders of sentences: the vectors of texts, and how they rank pairs of texts."""
