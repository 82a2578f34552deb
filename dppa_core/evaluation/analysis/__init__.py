"""dppa_core evaluation analysis"""
