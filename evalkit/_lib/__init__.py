"""Helpers that know no word of the domain: JSON, YAML, files, text, clock, registry."""
