"""components session"""
