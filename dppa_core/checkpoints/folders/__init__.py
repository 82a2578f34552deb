"""The files of a model's folder, and which of them may be opened."""
