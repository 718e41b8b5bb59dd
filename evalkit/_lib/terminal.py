"""What can be drawn on a terminal."""

import os
import sys
from typing import TextIO


def can_redraw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that moves its cursor, and not the log of a CI."""
    if not stream.isatty() or os.environ.get("CI") or os.environ.get("BUILD_NUMBER"):
        return False
    if os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return False
    if sys.platform != "win32":
        return True
    # Slow third-party library, needed only where something is drawn.
    from rich.console import Console

    return not Console(file=stream).legacy_windows
