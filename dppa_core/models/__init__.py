"""dppa_core models"""
