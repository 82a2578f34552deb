"""dppa_core evaluation"""
