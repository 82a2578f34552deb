"""components learn"""
