"""``evalkit report``: write the reports of a run directory again from its results.

The page of a signed run is written again after signing, and compared when a signature is verified.
It shows the sign-off records, so no record can contain its digest. The same evalkit and Python
build the same page from the same data, except that builds of zlib deflate differently. Of a page
that differs and was written by another evalkit or Python, nobody can say whether it was changed.
"""

import platform
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from evalkit._lib.files import irregular
from evalkit._lib.version import VERSION
from evalkit.errors import UsageError
from evalkit.plugins import REPORTS
from evalkit.reports.line_reports import write_all
from evalkit.reports.page.embedded_data import inflate_packs
from evalkit.reports.page.run_page import RunPage
from evalkit.results import Run
from evalkit.signoff.in_toto import Signoff
from evalkit.signoff.problems import VerificationProblem

PAGE, DATA = "index.html", "data"


@click.command(epilog="Example:  evalkit report reports/latest")
@click.argument("run", type=click.Path(path_type=Path), default="reports/latest")
def report(run: Path) -> None:
    """Write the reports of a run again.

    RUN is a run directory (default reports/latest); its results.jsonl is read.
    """
    for path in write_all(Run(run), [REPORTS.get(name) for name in REPORTS]):
        if path is not None:
            click.echo(path)


def rewrite_page(run: Run) -> None:
    """Write the page of a run again, if it has one. Raises UsageError, OSError."""
    if (run.directory / PAGE).is_file():
        write_all(run, [RunPage])


def page_differences(
    run: Path, newest: Signoff, *, is_intact: bool
) -> tuple[list[VerificationProblem], list[str]]:
    """Return the files of a page that differ from what is built from the data now, as problems.

    They are notes instead if the page was written by another evalkit or Python, or if the run is
    not ``is_intact``: the page shows which records are valid, so it differs with any signed file.
    """
    writer = (newest.tool.get("evalkit"), newest.tool.get("python"))
    reader = (VERSION, platform.python_version())
    problems, notes = [], []
    # The page shows the folder's name, and a run may have been moved since.
    folders = dict.fromkeys((Path(newest.run).name, run.absolute().name))
    for name in min((list(_different_files(run, folder)) for folder in folders), key=len):
        if not is_intact:
            notes.append(
                f"{name} cannot be compared: it shows whether records are valid; restore the "
                "signed files, and verify again"
            )
        elif writer == reader:
            message = (
                f"{name}: is not what evalkit builds from the data; "
                f"'evalkit report {run}' writes it again"
            )
            problems.append(VerificationProblem("report_differs", f"{newest.run}/{name}", message))
        else:
            notes.append(
                f"{name} cannot be compared: written by evalkit {writer[0]} and Python "
                f"{writer[1]}, this is evalkit {reader[0]} and Python {reader[1]}; "
                f"'evalkit report {run}' writes it again"
            )
    return problems, notes


def _different_files(run: Path, name: str) -> Iterator[str]:
    """Yield the files of a page that are not what is built in a folder of this name."""
    if not (run / PAGE).is_file():
        return
    with TemporaryDirectory(prefix="evalkit-") as folder:
        copy = Path(folder, name)
        try:
            shutil.copytree(
                run, copy, ignore=partial(_left_out, run), ignore_dangling_symlinks=True
            )
            (copy / PAGE).touch()
            rewrite_page(Run(copy))
        except (UsageError, OSError, RecursionError):
            return  # the data is damaged, which is reported elsewhere
        names = {
            path.relative_to(top).as_posix()
            for top in (run, copy)
            for path in (top / PAGE, *(top / DATA).rglob("*"))
            if path.is_file()
        }
        yield from (name for name in sorted(names) if not _is_same(run / name, copy / name))


def _left_out(run: Path, folder: str, names: Sequence[str]) -> list[str]:
    """Return what of a folder is not copied: the page, and folders that are elsewhere."""
    links = [name for name in names if (path := Path(folder, name)).is_symlink() and path.is_dir()]
    return irregular(folder, names) + links + ([PAGE, DATA] if Path(folder) == run else [])


def _is_same(existing: Path, rebuilt: Path) -> bool:
    if not (existing.is_file() and rebuilt.is_file()):
        return False
    old, new = existing.read_bytes(), rebuilt.read_bytes()
    return old == new or inflate_packs(old) == inflate_packs(new)
