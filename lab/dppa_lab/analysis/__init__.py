"""Curvature by band, and ranks of singular values."""
