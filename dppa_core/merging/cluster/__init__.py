"""dppa_core merging cluster"""
