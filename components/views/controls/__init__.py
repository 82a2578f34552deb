"""components views controls"""
