"""Store decisions about review items in ``decisions.yaml``.

    evalkit_decisions: 1
    decisions:
      - item: "3f2a91bc04d7"
        result: "weather::london[stateless]"
        …

The file is made for diffs: one key per line, and entries are only appended. Appending keeps the
existing text byte for byte. The new text is written to a temporary file and renamed, under a lock,
so concurrent writers lose nothing and no reader sees half a file. Texts are JSON strings, which any
YAML parser reads, with invisible characters made visible. A file of any other shape is an integrity
error with its line, and is never written to.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from evalkit._lib import yaml
from evalkit._lib.files import display_path, file_errors, try_lock, write_atomic
from evalkit._lib.problems import first_entry_problem
from evalkit._lib.text import visible
from evalkit.errors import IntegrityError, UsageError

NAME = "decisions.yaml"
HEAD = """\
# Decisions about this run. `evalkit review` appends to it; the last decision on an item counts.
evalkit_decisions: 1
decisions:
"""
LOCK_SECONDS = 10.0
"""How long a writer waits for another one."""
_LOCK_POLL_SECONDS = 0.02

Choice = Literal["accept", "reject", "skip"]
CHOICES: tuple[Choice, ...] = ("accept", "reject", "skip")


class Decision(BaseModel):
    """One entry of ``decisions.yaml``.

    The fields, in this order, are its keys; empty ones are omitted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    item: str = Field(min_length=1, description="Short for result, check, code and location.")
    result: str = Field(description="The result's id.")
    check: str
    code: str
    location: str
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="Digest of the result line that was decided on."
    )
    decision: Choice
    comment: str = ""
    regression: bool = Field(
        False, description="Whether it was known to have passed in a baseline."
    )
    group: str = Field("", description="The group, if one decision was made for a whole group.")
    written_file: str = Field(
        "", description="The approved snapshot file, as a path from the project root."
    )
    kept_from: str = Field(
        "", description="Author and time of the earlier decision that this one repeats."
    )
    baseline: str = Field(
        "", description="The run that determined what regressed, as a path from the run directory."
    )
    by: str = Field(min_length=1, description="Name and email address.")
    at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class _DecisionList(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    evalkit_decisions: Literal[1]
    decisions: list[Decision] | None = None


def render(decision: Decision) -> str:
    """Return one entry as text."""
    values = decision.model_dump(exclude_defaults=True)
    lines = []
    for key, value in values.items():
        text = visible(value) if isinstance(value, str) else value
        lines.append(f"{key}: {json.dumps(text, ensure_ascii=False)}")
    return "  - " + "\n    ".join(lines) + "\n"


def parse(text: str, name: str) -> list[Decision]:
    """Read the text of a decision file called ``name``.

    Raises IntegrityError with the line that :func:`render` would not write.
    """
    try:
        value, lines = yaml.load_lines(text)
    except yaml.YamlError as error:
        raise _invalid_file(name, error.line, error.message) from error
    try:
        return _DecisionList.model_validate(value).decisions or []
    except ValidationError as error:
        raise _invalid_file(name, *first_entry_problem(error, value, lines, "decisions")) from error


def _invalid_file(name: str, line: int, reason: str) -> IntegrityError:
    return IntegrityError(
        f"{name}:{line}: not a file that `evalkit review` wrote ({reason}); nothing was written"
    )


class DecisionFile:
    """The decision file of one run directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self._lock_path = directory / f".{NAME}.lock"

    def read(self) -> list[Decision]:
        """Return all entries, oldest first; none if there is no file.

        Raises IntegrityError for an invalid file, UsageError for an unreadable one.
        """
        return parse(self._text(), display_path(self.path))

    def append(self, decisions: Sequence[Decision]) -> None:
        """Append entries.

        Call it inside :meth:`locked`. Raises IntegrityError, UsageError.
        """
        before, name = self._text(), display_path(self.path)
        existing = parse(before, name)
        after = before + ("" if before.endswith("\n") else "\n") + "".join(map(render, decisions))
        # Text edited by hand may be valid YAML in a style that cannot be appended to.
        if len(parse(after, name)) != len(existing) + len(decisions):
            raise _invalid_file(name, 1, "entries cannot be appended to it")
        with file_errors(self.path, "cannot be written"):
            write_atomic(self.path, after)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock out other writers for the block.

        Raises UsageError if the lock is not available.
        """
        with file_errors(self.path, "cannot be locked"):
            handle = self._lock_path.open("ab")
        with handle:
            deadline = time.monotonic() + LOCK_SECONDS
            while not try_lock(handle.fileno()):
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"{display_path(self.path)}: another `evalkit review` is writing to it; "
                        "try again"
                    )
                time.sleep(_LOCK_POLL_SECONDS)
            yield

    def _text(self) -> str:
        with file_errors(self.path, "cannot be read"):
            data = self.path.read_bytes() if self.path.exists() else HEAD.encode()
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _invalid_file(display_path(self.path), 1, f"not UTF-8: {error.reason}") from error
