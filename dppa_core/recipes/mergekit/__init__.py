"""Recipes of mergekit, both ways."""
