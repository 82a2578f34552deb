"""dppa_core cli commands"""
