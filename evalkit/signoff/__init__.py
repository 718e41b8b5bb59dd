"""Signed decisions about a run, and their verification."""
