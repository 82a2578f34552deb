"""dppa_core merging in_memory"""
