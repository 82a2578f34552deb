"""dppa_core methods shared"""
