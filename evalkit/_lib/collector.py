"""Python's garbage collector, kept from looking again and again at what stays.

The collector walks through every object it knows each time their number has grown by a quarter. Work that makes many objects and drops
next to none, an import or a load, so pays for all it has made several times over and gets nothing back.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Do without the collector for a while; one that was off stays off."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
