"""``badge.json``: a run as the endpoint of a badge (the schema of shields.io's endpoint badge): one word and a colour, with its denominator."""

from __future__ import annotations

from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit._lib.json import dumps
from evalkit.reports.glance import glance, refuse
from evalkit.reports.overview import Tally, overview
from evalkit.results import Run

COLOURS = {"passed": "brightgreen", "failed": "red", "errored": "orange", "skipped": "lightgrey"}
"""Colour by the style of a run's verdict."""


def write(run: Run) -> Path:
    """Write ``badge.json`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    total = Tally()
    for number, line in enumerate(run.lines(), 1):
        try:
            total.add(glance(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise refuse(run.directory, number, error) from error
    style = overview(run.manifest, total).style
    message = f"{total.verdicts['passed']} of {total.scored} passed" if total.scored else "nothing scored"
    if total.verdicts["errored"]:
        message += f", {total.verdicts['errored']} errored"
    path = run.directory / "badge.json"
    write_atomic(path, dumps({"schemaVersion": 1, "label": "evalkit", "message": message, "color": COLOURS[style]}) + "\n")
    return path
