"""dppa_core checkpoints folders"""
