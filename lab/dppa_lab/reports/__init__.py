"""Makes the page's file, figures and tables from measured data, without measuring.

It reads the folder lab/data of the repository, and writes nothing.
"""
