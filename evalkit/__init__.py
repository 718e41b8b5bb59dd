"""evalkit: suites of conversations with models, run by pytest, replayed from cassettes.

Every public name is loaded when it is first used: pytest imports this package in *every* session of
the environment it is installed in, so importing it must cost next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evalkit._lib.version import VERSION

if TYPE_CHECKING:
    from evalkit.checks.core.base import Check, View
    from evalkit.errors import EvalkitError, ExpectationFailed
    from evalkit.plugins import check
    from evalkit.taping import tape
    from evalkit.transcript import Transcript, Turn
    from evalkit.verdict import Finding, Severity, Verdict, Where

__version__ = VERSION

__all__ = [
    "Check",
    "EvalkitError",
    "ExpectationFailed",
    "Finding",
    "Severity",
    "Transcript",
    "Turn",
    "Verdict",
    "View",
    "Where",
    "check",
    "tape",
]

_MODULES = {
    "Check": "evalkit.checks.core.base",
    "EvalkitError": "evalkit.errors",
    "ExpectationFailed": "evalkit.errors",
    "Finding": "evalkit.verdict",
    "Severity": "evalkit.verdict",
    "Transcript": "evalkit.transcript",
    "Turn": "evalkit.transcript",
    "Verdict": "evalkit.verdict",
    "View": "evalkit.checks.core.base",
    "Where": "evalkit.verdict",
    "check": "evalkit.plugins",
    "tape": "evalkit.taping",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(import_module(module), name)
