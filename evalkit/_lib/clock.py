"""The only place that reads the clock for what is written into files."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current UTC time, or the one ``SOURCE_DATE_EPOCH`` fixes (reproducible-builds.org)."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    return (
        datetime.fromtimestamp(int(fixed), UTC) if fixed and fixed.isdigit() else datetime.now(UTC)
    )


def timestamp() -> str:
    """Return :func:`now` as ISO 8601 with seconds and a ``Z``."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")
