"""Checks: named rules that read a transcript and yield findings. See docs/checks."""
