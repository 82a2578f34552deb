"""components views export"""
