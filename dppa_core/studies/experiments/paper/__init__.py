"""dppa_core studies experiments paper"""
