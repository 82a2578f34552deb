"""dppa_core checkpoints vocabulary"""
