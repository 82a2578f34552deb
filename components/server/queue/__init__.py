"""components server queue"""
