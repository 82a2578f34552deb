"""dppa_core profiling calibration"""
