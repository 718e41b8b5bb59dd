"""Decisions as reports print them: the printed name, time and meaning of each, and whether it still holds."""

from __future__ import annotations

from evalkit.results import Run
from evalkit.signoff.records import read


def printed(run: Run) -> list[dict[str, str]]:
    """Return the decisions about a run, oldest first, as ``evalkit.reports.page.run_page.write`` prints them. Nothing is verified here.

    ``void`` says why one holds no longer, empty where nothing is plainly wrong. Raises UsageError: a record cannot be read.
    """
    return [
        {
            "name": record.name or record.path,
            "email": record.email,
            "role": record.role,
            "decision": record.decision,
            "meaning": record.meaning,
            "time": record.time,
            "comment": record.comment,
            "void": record.problem,
        }
        for record in read(run)
    ]
