"""Measures of finished music: one function per published measure, with its source. Pure numpy."""
