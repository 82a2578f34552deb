"""components views chat"""
