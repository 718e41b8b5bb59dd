"""What lint was asked to do, as values. Reading flags and files into them is the command line's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from evalkit._lib.clock import now


@dataclass(frozen=True, slots=True)
class Options:
    """``codes`` are the rules that count, None for all. ``max_age`` is in days. ``suites`` are suite files or folders of them, ``root`` the
    project's root, which no suite may leave. ``run`` is a run directory, read for recordings left unplayed. ``now`` is the time that ages
    are counted to.
    """

    codes: frozenset[str] | None = None
    max_age: float | None = None
    suites: tuple[Path, ...] = ()
    root: Path = field(default_factory=Path.cwd)
    run: Path | None = None
    now: datetime = field(default_factory=now)

    def wants(self, *codes: str) -> bool:
        """Say whether any of these rules counts."""
        return self.codes is None or any(code in self.codes for code in codes)
