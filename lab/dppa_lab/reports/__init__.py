"""What is made of measured data without measuring: the page's file, figures and tables.

It reads the folder lab/data of the repository, and writes nothing.
"""
