"""Builds what is installed elsewhere: environments, the Debian package, the single file.

The program never imports it. It needs nothing but Python's own library and pip.
"""
