"""The page of a signed run, made again: after signing, so that it shows who signed; when verifying, to see whether it was touched.

A page is a view of what was signed, so no record has its digest: it shows the records themselves. What the same evalkit and Python make of the
same data is the same bytes, but for how a system's zlib deflates; where the page was made by others nothing can be told, and nothing is.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit._lib.version import VERSION
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.signoff.in_toto import Signoff
from evalkit.signoff.problems import VerificationProblem

PAGE, DATA = "index.html", "data"


def remake(run: Run) -> bool:
    """Write the page of a run again, where it has one. Raises UsageError, OSError."""
    from evalkit.reports.page.run_page import write

    if not (run.directory / PAGE).is_file():
        return False
    write(run)
    return True


def problems(run: Path, newest: Signoff) -> Iterator[VerificationProblem]:
    """Yield the files of a page that are not what is made of the data now; nothing where another evalkit or Python signed last."""
    same = (
        newest.tool.get("evalkit") == VERSION
        and newest.tool.get("python") == platform.python_version()
    )
    if not same or not (run / PAGE).is_file():
        return
    with TemporaryDirectory(prefix="evalkit-") as folder:
        copy = Path(folder, run.absolute().name)
        shutil.copytree(
            run, copy, ignore=lambda place, _: [PAGE, DATA] if Path(place) == run else []
        )
        (copy / PAGE).touch()
        try:
            remake(Run(copy))
        except (UsageError, OSError, RecursionError):
            return  # what stands in the way is damaged data, and was told
        for name in (
            PAGE,
            *sorted(
                path.relative_to(copy).as_posix()
                for path in (copy / DATA).rglob("*")
                if path.is_file()
            ),
        ):
            there = run / name
            if not there.is_file() or not _same(there.read_bytes(), (copy / name).read_bytes()):
                message = f"{name}: expected what evalkit makes of the data, found something else; 'evalkit report {run}' makes it again"
                yield VerificationProblem("report_differs", f"{newest.run}/{name}", message)


def _same(there: bytes, made: bytes) -> bool:
    from evalkit.reports.page.embedded_data import inflated

    return there == made or inflated(there) == inflated(made)
