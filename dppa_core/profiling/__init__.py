"""dppa_core profiling"""
