"""dppa_core tuning search"""
