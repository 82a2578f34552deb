"""dppa_core pruning"""
