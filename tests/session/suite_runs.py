"""Runs the scenarios of a suite in process and returns the result lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NOWHERE = "http://127.0.0.1:9"
Results = dict[str, dict[str, Any]]
RunSuite = Callable[..., Results]


def one(results: Results) -> dict[str, Any]:
    (result,) = results.values()
    return result
