"""Statistics that need texts run through a model: Fisher information, input norms."""
