"""dppa_core merging"""
