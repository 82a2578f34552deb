"""components widgets"""
