"""Checks: named rules that read a transcript and yield findings. One file per check; see docs/checks."""

from evalkit.checks.base import Check, View
from evalkit.checks.running import run_check

__all__ = ["Check", "View", "run_check"]
