"""components views"""
