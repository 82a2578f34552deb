"""components work"""
