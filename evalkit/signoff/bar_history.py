"""State from git whether the bar was committed before the candidate was recorded.

The bar are the suites of a run, the files they use and their approved snapshots. Who writes
expectations after reading the answers can make any answer pass. Git does not prove times: the
committer sets them.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from evalkit.cassette.files import recorded_at
from evalkit.checks.snapshot import FOLDER as SNAPSHOTS
from evalkit.results import Run
from evalkit.results.records import judged_by
from evalkit.signoff import git

_LISTED = 3


def bar_history(run: Run, root: Path) -> str:
    """Return one sentence for the record; empty where the suites are in no repository."""
    names = sorted(set(_names(run, root)))
    if not names or not git.is_repository(root):
        return ""
    changed = git.uncommitted(root, names)
    if changed:
        more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
        return f"expectations: not committed: {', '.join(changed[:_LISTED])}{more}"
    commit = git.last_commit(root, names)
    if commit is None:
        return "expectations: not committed"
    recorded = _recorded(run, root)
    committed = f"expectations: committed in {commit.name} at {_text(commit.time)}"
    if recorded is None:
        return f"{committed}; unknown when the candidate was recorded"
    order = "before" if commit.time <= recorded else "AFTER"
    return f"{committed}, {order} the candidate was recorded ({_text(recorded)})"


def _names(run: Run, root: Path) -> Iterator[str]:
    yield from judged_by(run.manifest)
    for suite in run.manifest.get("suites") or ():
        yield from (file["path"] for file in suite.get("files", ()))
        snapshots = Path(suite["path"]).parent / SNAPSHOTS / suite["suite"]
        if (root / snapshots).is_dir():
            yield snapshots.as_posix()


def _recorded(run: Run, root: Path) -> datetime | None:
    """Return when the first conversation of a run was recorded; when a live run started."""
    folder = root / str(run.manifest.get("options", {}).get("cassettes") or "cassettes")
    names = [cassette["path"] for cassette in run.manifest.get("cassettes") or ()]
    times = [recorded_at(folder / name) for name in names] or [str(run.manifest.get("started"))]
    known = [time for text in times if (time := _time(text)) is not None]
    return min(known, default=None)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
