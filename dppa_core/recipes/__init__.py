"""dppa_core recipes"""
