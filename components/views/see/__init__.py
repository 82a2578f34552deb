"""components views see"""
