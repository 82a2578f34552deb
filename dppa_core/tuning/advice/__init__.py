"""dppa_core tuning advice"""
