"""The history of a watch: one line of JSON for each look at a live service.

A line has the results of each watched turn, and the p of the look, computed when it was made: what
was betted then is not changed by what is known later. A *reset* is a line too: looks before it do
not count any more, and are preserved. Lines are only appended; a file with a line of any other
shape is refused with its position and is not written to.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evalkit._lib.files import display_path, exclusive, file_errors, read_file
from evalkit._lib.text import show
from evalkit.errors import UsageError
from evalkit.results.calibrations import TIME
from evalkit.results.records import VerdictName

_Amount = Annotated[float, Field(ge=0)] | None


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class WatchedTurn(_Record):
    """One turn of a look: the live answer beside the recorded one."""

    id: str = Field(description="The turn: suite::variant turn 1.")
    series: str = Field(description="Digest of its cassette, expectations and endpoint.")
    verdict: VerdictName
    difference: str = Field("", description="How the answer differs from the recorded one.")
    tokens: _Amount = Field(None, description="Output tokens.")
    ms: _Amount = Field(None, description="Milliseconds of all its requests.")
    reason: str = Field("", description="Why it did not pass.")
    answer: str = Field("", description="The beginning of an answer that failed or differs.")

    @property
    def is_scored(self) -> bool:
        """Whether it passed or failed."""
        return self.verdict in ("passed", "failed")


class Look(_Record):
    """One look: what was sent, what was answered, and how unusual that is."""

    evalkit_watch: Literal[1] = 1
    kind: Literal["look"] = "look"
    time: str = Field(pattern=TIME)
    evalkit: str = Field(description="The version of evalkit.")
    endpoint: str
    models: list[str] = Field(description="The models that answered, as the service names them.")
    requests: int = Field(ge=0)
    tokens: int = Field(ge=0)
    news: list[str] = Field(description="What no earlier look and no recording had.")
    p: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(description="By measure.")
    turns: list[WatchedTurn]


class Reset(_Record):
    """The looks before it do not count any more."""

    evalkit_watch: Literal[1] = 1
    kind: Literal["reset"] = "reset"
    time: str = Field(pattern=TIME)


_ENTRY: TypeAdapter[Look | Reset] = TypeAdapter(
    Annotated[Look | Reset, Field(discriminator="kind")]
)


class WatchHistory:
    """The file of a history, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def looks(self) -> list[Look]:
        """Return the looks since the last reset. Raises UsageError for a line that is damaged."""
        with file_errors(self.path, "cannot be read"):
            data = read_file(self.path) if self.path.exists() else b""
        looks: list[Look] = []
        for number, line in enumerate(data.splitlines(keepends=True), 1):
            entry = self._entry(number, line)
            if isinstance(entry, Look):
                looks.append(entry)
            else:
                looks.clear()
        return looks

    def _entry(self, number: int, line: bytes) -> Look | Reset:
        try:
            entry = _ENTRY.validate_json(line)
            problem = "" if line.endswith(b"\n") else "it has no end"
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["loc"][-1:] == ("evalkit_watch",):
                raise UsageError(
                    f"{display_path(self.path)}:{number}: another version of evalkit wrote this "
                    f"line (format {show(first['input'])}, expected 1); use that version, or name "
                    "another file with --history"
                ) from None
            problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
        if problem:
            raise UsageError(
                f"{display_path(self.path)}:{number}: not a line that 'evalkit watch' wrote "
                f"({problem}); restore the file, or delete this line"
            )
        return entry

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process append while the block runs. Raises UsageError."""
        with file_errors(self.path, "cannot be written", "; name another file with --history"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            with exclusive(self.path):
                yield

    def append(self, entry: Look | Reset) -> None:
        """Append one line, and wait until it is on the disk. Raises UsageError."""
        head = {"evalkit_watch": entry.evalkit_watch, "kind": entry.kind}
        record = {**head, **entry.model_dump(mode="json", exclude_defaults=True)}
        data = f"{json.dumps(record)}\n".encode("ascii")
        with file_errors(self.path, "cannot be written"), self.path.open("ab", buffering=0) as file:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
