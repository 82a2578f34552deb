"""dppa_core studies teaching"""
