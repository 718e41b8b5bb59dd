"""Helpers without domain words: JSON, YAML, files, text, clock, registry."""
