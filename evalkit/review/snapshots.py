"""Write approved snapshots, only over what the run compared.

File names come from results, which may have been tampered with. A path is accepted if it is the one
that the snapshot folder has for the suite and lies under the project root, links followed. All
files are checked before the first is written, so that a group is approved as a whole or not at all.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from evalkit._lib.files import file_errors, is_inside, write_atomic
from evalkit._lib.json import MISSING, differences
from evalkit._lib.text import quoted, visible
from evalkit.checks.snapshot import FOLDER, parse, render, same_text
from evalkit.errors import UsageError
from evalkit.review.queue import ReviewItem


def approve_snapshots(items: Iterable[ReviewItem], root: Path) -> dict[str, str]:
    """Write the values of snapshots, each file atomically; return the written files by item key.

    Raises UsageError naming the first file that must not be written, and why.
    """
    planned: dict[Path, str] = {}
    written = {}
    for item in items:
        if item.form is None or item.got is MISSING:
            continue
        path, text = _snapshot_path(item, root), render(item.form, item.got)
        current = planned.get(path, _read(path, item))
        if current is not None and same_text(current, text):
            continue
        if path in planned:
            raise UsageError(
                f"{visible(item.file)}: two different values would be approved (of trials or "
                "parts); decide one item alone"
            )
        if not _is_unchanged(item, current):
            raise UsageError(
                f"{visible(item.file)}: changed since the run, so nothing was approved; run the "
                "suites again, then review"
            )
        planned[path] = text
        written[item.key] = item.file
    for path, text in planned.items():
        with file_errors(Path(visible(str(path))), "cannot be written"):
            write_atomic(path, text)
    return written


def _snapshot_path(item: ReviewItem, root: Path) -> Path:
    name, suite = PurePosixPath(item.file), PurePosixPath(item.suite)
    path = root / item.file
    if (
        name.parent.parent != suite.parent / FOLDER
        or ".." in name.parts
        or name.is_absolute()
        or name.suffix not in (".txt", ".json")
        or "\\" in item.file
        or "\0" in item.file
        or not is_inside(root, path)
    ):
        raise UsageError(
            f"{quoted(item.file)}: not a snapshot of {quoted(item.suite)}; nothing was approved"
        )
    if not (root / item.suite).is_file():
        raise UsageError(
            f"{quoted(item.suite)}: there is no such suite under {root}; name the project with "
            "--root"
        )
    return path


def _read(path: Path, item: ReviewItem) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{visible(item.file)}: cannot be read, so nothing was approved ({error})"
        ) from error


def _is_unchanged(item: ReviewItem, current: str | None) -> bool:
    """Return whether a file has the content that the run compared with."""
    if item.expected is MISSING or current is None or item.form is None:
        return item.expected is MISSING and current is None
    if item.form != "json":
        return same_text(current, render(item.form, item.expected))
    try:
        document = parse(current)
    except ValueError:
        return False
    # A JSON file may hold more than the result: what the check ignores is not in it.
    return all(old is MISSING for _, old, _ in differences(item.expected, document))
