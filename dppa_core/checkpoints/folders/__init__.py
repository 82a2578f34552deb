"""Which files a model's folder has, and which of them may be opened."""
