"""components work downloads"""
