"""Traces in ``evalkit import``: find them among files, read them, report what they lost."""

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from evalkit._lib.files import display_path, file_errors
from evalkit._lib.progress import tracked
from evalkit._lib.text import plural, visible
from evalkit.cassette.recording import Recording
from evalkit.errors import UsageError
from evalkit.importing.log_selection import read_logs
from evalkit.importing.traces.documents import ReadProblems, first_document, peek
from evalkit.importing.traces.losses import losses
from evalkit.importing.traces.reader import (
    FileScan,
    TraceImport,
    is_trace_file,
    read_traces,
    scan,
    scan_here,
)
from evalkit.importing.traces.selection import Selection
from evalkit.importing.traffic_reader import LOG_SUFFIXES
from evalkit.transports.dask_client import connect_client

_SUFFIXES = (".jsonl", ".ndjson", ".json", ".log", ".gz", ".pb", ".binpb", ".proto", ".bin")
"""Endings of the files of traces that are looked for in folders."""


def read_trace_files(
    files: list[Path], folders: Sequence[Path], selection: Selection, cluster: str | None
) -> dict[str, list[Recording]]:
    """Take the traces out of ``files``, add those in folders, and return their recordings.

    Prints what they lost and what was left out. Raises UsageError.
    """
    if selection and not files and not folders:
        raise UsageError("--sample and --filter choose conversations of files; name files")
    files[:] = dict.fromkeys(files)
    for path in files:
        with file_errors(path, "cannot be read"):
            is_stream = str(path) == "-" or not stat.S_ISREG(path.stat().st_mode)
        if is_stream:
            raise UsageError(
                f"{display_path(path)}: not a regular file (expected one that can be read twice); "
                "write a pipe into a file first"
            )
    traces = [path for path in files if is_trace_file(path)]
    files[:] = [path for path in files if path not in traces]
    named = (path for path in files_in(folders) if path.suffix.lower() in _SUFFIXES)
    traces += (path for path in named if path not in traces and is_trace_file(path))
    if selection.by and not selection.size:
        raise UsageError("--by spreads a sample over values; add --sample N")
    if cluster and not (traces and selection):
        raise UsageError(
            "--cluster chooses conversations of traces on workers; name files of traces, and add "
            "--sample or --filter"
        )
    if selection and traces and files:
        raise UsageError(
            f"{display_path(files[0])}: has no traces; --sample and --filter choose among traces "
            "or among logs of traffic: import it by itself"
        )
    if selection and not traces:
        return _read_log_files(files, selection)
    if not traces:
        return {}
    scan_files = _OnCluster(cluster) if cluster else scan_here
    found = read_traces(traces, selection, scan_files)
    list_problems(found.problems)
    _report(found)
    return found.recordings


def _read_log_files(files: list[Path], selection: Selection) -> dict[str, list[Recording]]:
    """Take logs of traffic out of ``files``, and return the recordings that are selected."""
    for path in files:
        if path.suffix.lower() not in LOG_SUFFIXES and first_document(peek(path)) is None:
            raise UsageError(
                f"{display_path(path)}: has neither traces nor a log of traffic in JSON, of which "
                "--sample and --filter choose conversations; leave these options out"
            )
    found = read_logs(files, selection)
    files.clear()
    list_problems(found.problems)
    click.echo(f"logs: {_counts(found.conversations, found.lines)}")
    return found.recordings


class _OnCluster:
    """Reads files for the first time on the workers of a dask cluster; only ids come back."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, paths: Sequence[Path], selection: Selection) -> Iterator[FileScan]:
        client = connect_client(self._address, "--cluster")
        try:
            futures = client.map(scan, [path.resolve() for path in paths], selection=selection)
            for future in tracked(futures, "choosing conversations", len(paths)):
                yield future.result()
        except UsageError as error:
            raise UsageError(
                f"{error}; workers of --cluster need the same files at the same paths, in a folder "
                "that all of them share"
            ) from None
        except Exception as error:
            # A cluster raises whatever a worker or the network raised, of any library.
            raise UsageError(
                f"--cluster {self._address}: a worker failed ({type(error).__name__}: {error}); "
                "its workers need this version of pytest-evalkit"
            ) from error
        finally:
            client.close()


def files_in(folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files in folders, hidden ones excepted."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.is_file() and not is_hidden:
                yield path


def _report(found: TraceImport) -> None:
    """Print what was read, and what its source lost."""
    repeated = f"; {found.repeated:,} repeat others" if found.repeated else ""
    click.echo(f"traces: {_counts(found.conversations, found.documents)}{repeated}")
    lost = list(losses(found.lacks, of_all=found.conversations > 0))
    rows = [("not in the traces", "so"), *lost] if lost else []
    width = max((len(what) for what, _ in rows), default=0)
    for what, consequence in rows:
        click.echo(f"  {what:<{width}}  {consequence}")


def _counts(conversations: int, lines: int) -> str:
    return f"{plural(conversations, 'conversation')} of {lines:,} line{'s' * (lines != 1)}"


def list_problems(problems: ReadProblems) -> None:
    """Print what could not be read: the first messages, and how many more."""
    for message in problems.messages:
        click.echo(visible(f"left out: {message}"), err=True)
    if more := problems.count - len(problems.messages):
        click.echo(f"left out: {more:,} more", err=True)
