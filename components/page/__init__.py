"""components page"""
