"""``decisions.yaml`` of a run directory: who decided what, when and why. Made for diffs: one key a line, appended to, never rewritten.

    evalkit_decisions: 1
    decisions:
      - item: "3f2a91bc04d7"
        result: "weather::london[stateless]"
        …

A new entry is put behind the text that is there, which stays byte for byte; the whole is written aside and renamed, under a lock, so two
writers lose nothing and nobody ever reads half of it. Texts are JSON strings with hostile characters made visible, which any YAML reads.
A file that is not this is an integrity error, told with its line, and is never written to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from evalkit._lib import yaml
from evalkit._lib.files import display_path, try_lock, write_atomic
from evalkit._lib.text import shorten, show, visible
from evalkit.errors import IntegrityError, UsageError
from evalkit.review.state import Decision

NAME = "decisions.yaml"
VERSION = 1
HEAD = f"""\
# What people decided about this run. `evalkit review` appends to it; of several decisions on an item the last counts.
evalkit_decisions: {VERSION}
decisions:
"""
_LOCK = f".{NAME}.lock"
_WAIT_SECONDS, _TICK = 10.0, 0.02


def render(decision: Decision) -> str:
    """Return one entry as text."""
    values = decision.model_dump(exclude_defaults=True)
    lines = [f"{name}: {_spelled(value)}" for name, value in values.items()]
    return "  - " + "\n    ".join(lines) + "\n"


def _spelled(value: object) -> str:
    return (
        json.dumps(visible(value), ensure_ascii=False)
        if isinstance(value, str)
        else json.dumps(value)
    )


def parse(text: str, name: str) -> list[Decision]:
    """Read a file's text. Raises IntegrityError with ``name`` and the line where it is not what :func:`render` writes."""
    try:
        value, lines = yaml.load_lines(text)
    except yaml.YamlError as error:
        raise _corrupt(name, error.line, error.message) from error
    if not isinstance(value, dict) or "evalkit_decisions" not in value:
        raise _corrupt(name, 1, "it has no 'evalkit_decisions'")
    if value["evalkit_decisions"] != VERSION:
        raise _corrupt(
            name,
            1,
            f"its version is {show(value['evalkit_decisions'], 20)}, this evalkit knows {VERSION}",
        )
    if extra := [key for key in value if key not in ("evalkit_decisions", "decisions")]:
        raise _corrupt(name, 1, f"unknown key {show(extra[0], 40)}")
    entries = value.get("decisions")
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise _corrupt(name, 1, "'decisions' is not a list")
    places = lines.of(entries)
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(Decision.model_validate(entry))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = shorten(".".join(map(str, first["loc"])), 60)
            raise _corrupt(
                name, places[number], f"{where or 'the entry'}: {first['msg']}"
            ) from error
    return found


def _corrupt(name: str, line: int, why: str) -> IntegrityError:
    return IntegrityError(
        f"{name}:{line} is not what `evalkit review` wrote: {why}; nothing was written"
    )


class Book:
    """The decisions of one run directory, on disk."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self._lock = directory / _LOCK

    def read(self) -> list[Decision]:
        """Return all entries, oldest first; none where there is no file. Raises IntegrityError, UsageError."""
        return parse(self._text(), display_path(self.path))

    def append(self, decisions: Sequence[Decision]) -> None:
        """Put entries behind those that are there. Call it inside :meth:`writing`. Raises IntegrityError, UsageError."""
        before = self._text()
        known = parse(before, display_path(self.path))
        after = before + ("" if before.endswith("\n") else "\n") + "".join(map(render, decisions))
        # What people wrote by hand may be YAML and still take no entry of ours: then it stays as it is.
        if len(parse(after, display_path(self.path))) != len(known) + len(decisions):
            raise _corrupt(display_path(self.path), 1, "it cannot be appended to")
        try:
            write_atomic(self.path, after)
        except OSError as error:
            raise UsageError(
                f"cannot write {display_path(self.path)}: {error.strerror or error}"
            ) from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock: nobody else appends within the block. Raises UsageError where it cannot be had."""
        try:
            handle = self._lock.open("ab")
        except OSError as error:
            raise UsageError(
                f"cannot write beside {display_path(self.path)}: {error.strerror or error}"
            ) from error
        with handle:
            end = time.monotonic() + _WAIT_SECONDS
            while not try_lock(handle.fileno()):
                if time.monotonic() > end:
                    raise UsageError(
                        f"{display_path(self.path)} is being written by another `evalkit review`; try again"
                    )
                time.sleep(_TICK)
            yield

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode()
        except FileNotFoundError:
            return HEAD
        except UnicodeDecodeError as error:
            raise _corrupt(
                display_path(self.path), 1, f"it is not UTF-8 ({error.reason})"
            ) from error
        except OSError as error:
            raise UsageError(
                f"{display_path(self.path)} cannot be read: {error.strerror or error}"
            ) from error
