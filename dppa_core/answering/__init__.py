"""Answers of models and merges to many people, by a process of its own."""
