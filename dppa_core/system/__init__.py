"""dppa_core system"""
