"""dppa_core studies"""
