"""dppa_core checkpoints"""
