"""Writing approved snapshots: only what was accepted, only into the suite's own folder of snapshots, only over what the run saw there.

Names of files come from results, which may have been tampered with: a path is taken when it is the one that folder has for the suite, and
lies under the project's root, links followed. Everything is looked at before anything is written, so a group is approved whole or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from evalkit._lib.files import is_inside, write_atomic
from evalkit._lib.json import MISSING, differences
from evalkit._lib.text import quoted, visible
from evalkit.checks.snapshot.files import FOLDER, parse, render, same_text
from evalkit.errors import UsageError
from evalkit.review.queue import Item


class Approval(NamedTuple):
    """A file to write; ``text`` None where what it would hold is there already."""

    item: Item
    path: Path
    text: str | None


def plan(items: Iterable[Item], root: Path) -> list[Approval]:
    """Return what approving snapshots writes. Raises UsageError naming the first file that must not be written, and why."""
    planned: dict[Path, str] = {}
    found = []
    for item in items:
        if item.form is None or item.got is MISSING:
            continue
        path, text = _place(item, root), render(item.form, item.got)
        held = planned.get(path, _read(path, item))
        if held is not None and same_text(held, text):
            found.append(Approval(item, path, None))
            continue
        if path in planned:
            raise UsageError(
                f"{visible(item.file)} would be approved with two values at once: trials or parts disagree; decide one alone"
            )
        if not _as_run(item, held):
            raise UsageError(
                f"{visible(item.file)} changed since the run, so nothing was approved; run the suites again, then review"
            )
        planned[path] = text
        found.append(Approval(item, path, text))
    return found


def write(approvals: Iterable[Approval]) -> None:
    """Write the files that need it, each whole or not at all. Raises UsageError."""
    for approval in approvals:
        if approval.text is not None:
            try:
                write_atomic(approval.path, approval.text)
            except OSError as error:
                raise UsageError(
                    f"cannot write {visible(approval.item.file)}: {error.strerror or error}"
                ) from error


def _place(item: Item, root: Path) -> Path:
    name, suite = PurePosixPath(item.file), PurePosixPath(item.suite)
    path = root / item.file
    own = (
        name.parent.parent == suite.parent / FOLDER
        and ".." not in name.parts
        and not name.is_absolute()
        and "\\" not in item.file
    )
    if (
        not own
        or name.suffix not in (".txt", ".json")
        or "\0" in item.file
        or not is_inside(root, path)
    ):
        raise UsageError(
            f"{quoted(item.file)} is no snapshot of {quoted(item.suite)}; nothing was approved"
        )
    if not (root / item.suite).is_file():
        raise UsageError(
            f"the suite {quoted(item.suite)} is not under {root}; name the project with --root"
        )
    return path


def _read(path: Path, item: Item) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{visible(item.file)} cannot be read, so nothing was approved: {error}"
        ) from error


def _as_run(item: Item, held: str | None) -> bool:
    """Say whether a file is what the run compared with. A JSON file may hold more: what its check ignores is not in the result."""
    if item.expected is MISSING or held is None or item.form is None:
        return item.expected is MISSING and held is None
    if item.form != "json":
        return same_text(held, render(item.form, item.expected))
    try:
        document = parse(held)
    except ValueError:
        return False
    return all(old is MISSING for _, old, _ in differences(item.expected, document))
