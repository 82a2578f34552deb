"""dppa_core tuning"""
