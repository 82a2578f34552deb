"""dppa_core studies zoo results"""
