"""Check the times that records state: against what they sign, and against the clock.

A time is the statement of the signer. It cannot be before the data that the signature covers, nor
in the future. Clocks of two computers may differ by ``TOLERANCE``.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from evalkit.signoff.digest_manifest import SignedPaths, file_digest
from evalkit.signoff.in_toto import Signoff
from evalkit.signoff.problems import VerificationProblem
from evalkit.signoff.ssh import AllowedSigners, fingerprint

TOLERANCE = timedelta(minutes=10)
TIME_SOURCE = "times are those of the signers' own clocks; no time stamp proves them"
# Of manifest.json and decisions.yaml, as evalkit writes them.
_TIME = re.compile(r'"?(?:ended|at)"?: "([0-9T:Z-]+)"')
_DATED_FILES = ("manifest.json", "decisions.yaml")


def is_before(when: datetime, stated: str) -> bool:
    """Return whether a time is clearly before one that a file states; not if it states none."""
    try:
        return when + TOLERANCE < datetime.fromisoformat(stated)
    except (TypeError, ValueError):
        return False


def time_problems(
    paths: SignedPaths, records: Sequence[Signoff], now: datetime
) -> Iterator[VerificationProblem]:
    """Yield the times that cannot be true.

    Only files that are as signed are read. Raises UsageError if one cannot be read.
    """
    for record in records:
        if record.signed_at > now + TOLERANCE:
            yield VerificationProblem(
                "signed_in_future",
                record.path,
                f"{record.path}: expected a time not after {now:%Y-%m-%dT%H:%M:%SZ}, the clock of "
                f"this computer, found {record.time}",
            )
        for name, digest in record.subjects.items():
            if not name.endswith(_DATED_FILES) or file_digest(paths.path(name)) != digest:
                continue
            latest = max(_TIME.findall(paths.path(name).read_text("utf-8", "replace")), default="")
            if is_before(record.signed_at, latest):
                yield VerificationProblem(
                    "signed_before_data",
                    record.path,
                    f"{record.path}: expected a time not before {latest}, that of {name}, found "
                    f"{record.time}",
                )


def expired_keys(records: Sequence[Signoff], allowed: AllowedSigners, now: datetime) -> list[str]:
    """Return a sentence for each record whose key was allowed when it says, and is not any more."""
    # Another line may allow the same key for longer.
    valid = {entry.key for entry in allowed.keys if entry.before is None or entry.before > now}
    ends = {
        fingerprint(entry.key): entry.before
        for entry in allowed.keys
        if entry.before is not None and entry.key not in valid
    }
    return [
        f"{record.path}: the key is not valid since {ends[record.keyid]:%Y-%m-%d}; that the record "
        "is older is its signer's statement"
        for record in records
        if record.keyid in ends
    ]
