"""dppa_core tuning adamerging"""
