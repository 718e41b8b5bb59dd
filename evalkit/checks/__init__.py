"""Checks: named rules that read a transcript and yield findings. One file per check; see docs/checks."""

from evalkit.checks.core.base import Check, View
from evalkit.checks.core.runner import run_check

__all__ = ["Check", "View", "run_check"]
