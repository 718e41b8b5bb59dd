"""The time that is written into files."""

import os
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current UTC time, or that of ``SOURCE_DATE_EPOCH`` (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)


def timestamp() -> str:
    """Return :func:`now` as ISO 8601 with seconds and a ``Z``."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")
