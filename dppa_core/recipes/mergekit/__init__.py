"""dppa_core recipes mergekit"""
