"""Reads a suite file into the values of ``evalkit.suite.model``."""
