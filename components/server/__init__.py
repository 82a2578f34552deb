"""components server"""
