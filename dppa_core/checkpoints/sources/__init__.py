"""dppa_core checkpoints sources"""
