"""Reports: what people and CI systems read, made from a run directory and nothing else. Loaded by
name through ``evalkit.reports``.
"""
