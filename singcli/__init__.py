"""Structured symbolic music from the command line."""

__version__ = "0.1.0"
