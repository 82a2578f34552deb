"""Answers of models and merges to many people, by a separate process."""
