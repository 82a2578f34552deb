"""dppa_core checkpoints adapters"""
