"""dppa_core studies experiments page"""
