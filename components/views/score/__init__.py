"""components views score"""
