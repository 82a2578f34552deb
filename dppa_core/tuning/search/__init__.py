"""Searches of settings: the paper's climb, Optuna studies, grids."""
