"""dppa_core evaluation diff"""
