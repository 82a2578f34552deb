"""dppa_core merging cards"""
