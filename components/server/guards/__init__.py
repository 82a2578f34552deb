"""components server guards"""
