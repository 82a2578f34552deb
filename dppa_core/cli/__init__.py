"""dppa_core cli"""
