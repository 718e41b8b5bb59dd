"""Files of traces, read as a stream of JSON documents with the lines they begin on.

A file has one document a line, or an array with one element a line; then memory does not grow with
the file. Anything else, such as indented JSON, is read whole. The protobuf files of OpenTelemetry's
Collector are read message by message. A file may be compressed with gzip.

A line that cannot be read is reported and left out. Lines, messages and whole files have limits
(``line`` and ``cassette``), and so has what a compressed file expands to.

Source: OTLP's file exporter (messages after their length as a varint), the Collector's (after four
bytes, big-endian); the semantics of one message are OTLP 1.9.
"""

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from evalkit._lib.files import display_path, file_errors
from evalkit._lib.json import JSON
from evalkit._lib.limits import exceeded, limits
from evalkit.errors import CassetteError, UsageError
from evalkit.importing.traces.protobuf import message_to_json
from evalkit.importing.traffic_reader import decode_text, json_documents

LISTED = 5
"""How many of the problems of an import are listed."""

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BRACKETS = frozenset((b"", b"[", b"]"))
_PEEKED = 1024 * 1024
# JSON has no control characters, messages of protobuf have lengths and ids of few bits.
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1d]")
# Logs compress 5 to 50 times, a bomb of zeros a thousand times.
_MAX_EXPANSION = 200
_FIELD = b"\n"
_LENGTH = 4


@dataclass(slots=True)
class ReadProblems:
    """What could not be read: a count, and the first messages, which quote nothing."""

    count: int = 0
    messages: list[str] = field(default_factory=list)

    def add(self, message: str) -> None:
        """Add a problem."""
        self.count += 1
        if len(self.messages) < LISTED:
            self.messages.append(message)


class _ExpandedFile:
    """A file, or what a gzip file expands to, with a limit of how much that may be."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, size: int) -> None:
        self._file = file
        self._left = size

    def readline(self, size: int) -> bytes:
        return self._counted(self._file.readline(size))

    def read(self, size: int) -> bytes:
        return self._counted(self._file.read(size))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise EOFError(f"it expands more than {_MAX_EXPANSION} times, which no log does")
        return data


def peek(path: Path) -> bytes:
    """Return how a file begins, decompressed. Raises UsageError."""
    with _opened(path) as file:
        try:
            return file.read(_PEEKED)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return b""


def first_document(start: bytes) -> JSON:
    """Return the first document of a file of lines by how it begins; None if it is not such."""
    for line in start.removeprefix(_BOM).split(b"\n"):
        text = line.strip().rstrip(b",")
        if text not in _BRACKETS:
            try:
                return orjson.loads(text)
            except orjson.JSONDecodeError:
                return None
    return None


def is_protobuf(start: bytes) -> bool:
    """Return whether a file that begins so has messages of protobuf."""
    return (
        not start.startswith(_UTF_16)
        and _CONTROL.search(start[:4096]) is not None
        and _FIELD in start[: _LENGTH + 1]
    )


def read_documents(path: Path, problems: ReadProblems) -> Iterator[tuple[int, JSON]]:
    """Yield the documents of a file and the line, or the number of the message, they begin on.

    Raises UsageError where the file cannot be read at all.
    """
    name, start = display_path(path), peek(path)
    try:
        with _opened(path) as file:
            if is_protobuf(start):
                yield from _messages(file, start, name, problems)
                return
            if start.startswith(_UTF_16) or first_document(start) is None:
                data = file.read(limits().cassette + 1)
                if len(data) <= limits().cassette and _has_document(data, name):
                    yield from _whole(data, name, problems)
                    return
        with _opened(path) as file:
            yield from _lines(file, name, problems)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problems.add(f"{name}: the compressed file is damaged ({error}); the rest is left out")


@contextmanager
def _opened(path: Path) -> Iterator[_ExpandedFile]:
    with file_errors(path, "cannot be read"), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.peek(2)[:2] != _GZIP:
            yield _ExpandedFile(file, 2 * size + _PEEKED)
            return
        most = max(size * _MAX_EXPANSION, 2 * _PEEKED)
        with gzip.open(file) as expanded:
            yield _ExpandedFile(expanded, most)


def _whole(data: bytes, name: str, problems: ReadProblems) -> Iterator[tuple[int, JSON]]:
    """Yield the documents of a file that does not have one a line."""
    line = 0
    try:
        for line, document in json_documents(decode_text(data, name), name):
            yield from _items(line, document)
    except CassetteError:
        problems.add(f"{name}: after line {line} it is not JSON; the rest is left out")


def _has_document(data: bytes, name: str) -> bool:
    """Return whether a file begins with a JSON document, however many lines it has."""
    try:
        return next(json_documents(decode_text(data, name), name), None) is not None
    except (CassetteError, UsageError):
        return False


def _lines(file: _ExpandedFile, name: str, problems: ReadProblems) -> Iterator[tuple[int, JSON]]:
    number, limit = 0, limits().line
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit:
            problems.add(f"{name}:{number}: {exceeded('line', 'the line is too large')}")
            while line and not line.endswith(b"\n"):
                line = file.readline(limit)
            continue
        text = line.removeprefix(_BOM).strip().rstrip(b",")
        if text in _BRACKETS:
            continue
        try:
            yield from _items(number, _parse(text))
        except (ValueError, RecursionError) as error:
            # The error of a parser names a position and quotes nothing.
            reason = str(error) if isinstance(error, ValueError) else "nested too deep"
            if isinstance(error, json.JSONDecodeError):
                reason = f"column {error.colno}: {error.msg}"
            problems.add(f"{name}:{number}: not JSON ({reason})")


def _items(line: int, document: JSON) -> Iterator[tuple[int, JSON]]:
    for item in document if isinstance(document, list) else [document]:
        yield line, item


def _parse(text: bytes) -> JSON:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Programs write NaN and half surrogate pairs, which the standard library reads.
        return json.loads(text)


def _messages(
    file: _ExpandedFile, start: bytes, name: str, problems: ReadProblems
) -> Iterator[tuple[int, JSON]]:
    """Yield the messages of a protobuf file as their JSON."""
    is_single, number = start[:1] == _FIELD, 0
    has_fixed = start[_LENGTH : _LENGTH + 1] == _FIELD and start[0] < 16
    limit = limits().cassette if is_single else limits().line
    while True:
        number += 1
        place = f"{name} message {number}"
        size = None if is_single else _length(file, has_fixed=has_fixed)
        if size is not None and size > limit:
            problems.add(f"{place}: {exceeded('line', 'the message is too large')}")
            while size and (skipped := file.read(min(size, _PEEKED))):
                size -= len(skipped)
            continue
        data = file.read(limit + 1 if size is None else size)
        if not data:
            return
        if is_single and len(data) > limit:
            raise UsageError(f"{place}: {exceeded('cassette', 'the file is too large')}")
        try:
            yield number, message_to_json(data)
        except ValueError as error:
            problems.add(f"{place}: not OTLP ({error})")
        if is_single:
            return


def _length(file: _ExpandedFile, *, has_fixed: bool) -> int:
    """Return the length that a message of a stream begins with; 0 at the end of the file."""
    if has_fixed:
        return int.from_bytes(file.read(_LENGTH), "big")
    size = shift = 0
    while shift < 64 and (byte := file.read(1)):
        size |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return size
    return size
