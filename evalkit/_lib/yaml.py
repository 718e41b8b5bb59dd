"""YAML 1.2 (core schema) as values, with source positions.

PyYAML's own loaders follow YAML 1.1, where ``no`` is false and ``1:30`` is 90. Here the events of
libyaml's C parser become values directly, by the core schema of YAML 1.2.2 (chapter 10.3), in half
the time. Duplicate keys are errors (chapter 3.2.1.3). Only core tags and ``!!binary`` are allowed,
so no file can create an object or run code.

:func:`load` returns values, :func:`load_lines` also the lines of list items, at almost no cost.
:func:`locate` parses again and returns the position of every key and value, for error messages.
"""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

# PyYAML's wheels contain libyaml. A source build may lack it; the pure Python parser yields the
# same events, slower.
_PARSER: Any = (
    yaml.cyaml.CParser if yaml.__with_libyaml__ else yaml.SafeLoader  # type: ignore[attr-defined]
)
_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
# Every scalar that is not text starts with one of these characters.
_FIRST_CHARACTERS = frozenset("0123456789+-.~nNtTfF")
_CORE_TAG = "tag:yaml.org,2002:"
_CONFLICT = re.compile(r"^(?:(?:<{7}|>{7}) |={7}\r?$)", re.MULTILINE)
_MAX_DEPTH = 200
_MAX_NODES_FROM_ALIASES = 100_000
_MAX_NODES = 2_000_000  # half a gigabyte with positions

ValuePath = tuple[str | int, ...]
"""Keys and list indexes from the root to a value, e.g. ``("scenarios", 0, "id")``."""


class Position(NamedTuple):
    """Where a value is in the text, and where its key is (0 if it has none); counted from 1."""

    line: int
    column: int
    key_line: int = 0
    key_column: int = 0


@dataclass(frozen=True, slots=True)
class ListLines:
    """The lines of list items of one loaded document, counted from 1."""

    # The document keeps its lists alive, so that no id is used twice.
    document: Any
    lines_by_id: dict[int, list[int]]

    def of(self, items: list[Any]) -> list[int]:
        """Return the line of each item of a list object of the document; [] for any other list."""
        return self.lines_by_id.get(id(items), [])


class YamlError(ValueError):
    """Text that is not valid YAML or uses a feature that is not allowed; counted from 1.

    ``context`` is libyaml's description of what it was reading (``while parsing a flow sequence``),
    ``started`` the line and column where that began.
    """

    def __init__(
        self,
        message: str,
        line: int,
        column: int,
        context: str = "",
        started: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(f"{message} (line {line}, column {column})")
        self.message = message
        self.line = line
        self.column = column
        self.context = context
        self.started = started


def resolve_scalar(text: str) -> Any:
    """Return the value of a plain scalar by the core schema."""
    if text and text[0] not in _FIRST_CHARACTERS:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.match(text):
        # Not always base 0: it refuses leading zeros, and in YAML 1.2 "017" is 17.
        return int(text, 0 if text.startswith(("0o", "0x")) else 10)
    return float(text) if _FLOAT.match(text) else text


def load(text: str) -> Any:
    """Parse one YAML document into dicts, lists, scalars and bytes (``!!binary``).

    An empty document is None. Raises YamlError: invalid YAML, a duplicate key, an unknown tag or
    alias, a second document.
    """
    return load_lines(text)[0]


def load_lines(text: str, resolve: Callable[[str], Any] = resolve_scalar) -> tuple[Any, ListLines]:
    """Parse as :func:`load` does; also return the lines of list items.

    ``resolve`` returns the value of a plain scalar.
    """
    reader = _DocumentReader(resolve)
    value = reader.read(text)
    return value, ListLines(value, reader.item_lines)


def locate(text: str) -> dict[ValuePath, Position]:
    """Return the position of every value by its path. Raises YamlError as :func:`load` does."""
    positions: dict[ValuePath, Position] = {}
    _DocumentReader(resolve_scalar, positions).read(text)
    return positions


def plain_scalars(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each scalar without quotes, with the line and column after it, counted from 1.

    The text must be valid YAML.
    """
    parser = _PARSER(text)
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        if isinstance(event, ScalarEvent) and event.implicit[0]:
            yield event.value, *(_start(event.end_mark) or (1, 1))


class _DocumentReader:
    """Turns the events of one document into a value; fills ``positions`` if given."""

    def __init__(
        self, resolve: Callable[[str], Any], positions: dict[ValuePath, Position] | None = None
    ) -> None:
        self.item_lines: dict[int, list[int]] = {}
        self._resolve = resolve
        self._positions = positions
        self._anchors: dict[str, Any] = {}
        self._nodes_from_aliases = 0
        self._nodes = 0
        self._next_event: Callable[[], Any]

    def read(self, text: str) -> Any:
        # Inside a quoted text of several lines a marker is valid YAML, and would be part of it.
        if marker := _CONFLICT.search(text):
            message = "git left a conflict here: keep one side and delete the markers"
            raise YamlError(message, *_position_of(text, marker.start()))
        try:
            self._next_event = _PARSER(text).get_event
            return self._document()
        except yaml.MarkedYAMLError as error:
            line, column = _start(error.problem_mark or error.context_mark) or (1, 1)
            message = error.problem or error.context or "not YAML"
            started = _start(error.context_mark)
            raise YamlError(message, line, column, error.context or "", started) from error
        except yaml.reader.ReaderError as error:
            character = error.character
            code = character if isinstance(character, int) else ord(character[:1] or "?")
            message = f"a character that YAML does not allow: U+{code:04X}"
            raise YamlError(message, *_position_of(text, error.position)) from error
        except UnicodeEncodeError as error:
            message = "a lone surrogate, which YAML does not allow"
            raise YamlError(message, *_position_of(text, error.start)) from error

    def _document(self) -> Any:
        self._next_event()  # stream start
        if isinstance(self._next_event(), StreamEndEvent):
            return None
        value = self._node(self._next_event(), (), 0)
        self._next_event()  # document end
        event = self._next_event()
        if not isinstance(event, StreamEndEvent):
            raise _error_at(event, "a second document; a file has one")
        return value

    def _node(self, event: Any, path: ValuePath, depth: int) -> Any:
        if self._positions is not None:
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            self._positions[path] = self._positions.get(path, Position(0, 0))._replace(
                line=line, column=column
            )
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise _error_at(event, f"more than {_MAX_NODES:,} values")
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event)
        value: Any
        if kind is ScalarEvent:
            value = self._scalar(event)
        else:
            name, value = ("map", {}) if kind is MappingStartEvent else ("seq", [])
            if event.tag not in (None, "!", _CORE_TAG + name):
                raise _error_at(event, f"the tag {event.tag!r} is not allowed")
            if depth > _MAX_DEPTH:
                raise _error_at(event, f"nested more than {_MAX_DEPTH} deep")
            if kind is MappingStartEvent:
                self._fill_mapping(value, path, depth + 1)
            else:
                assert kind is SequenceStartEvent
                self._fill_list(value, path, depth + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _scalar(self, event: Any) -> Any:
        if event.tag is not None:
            return _tagged_scalar(event)
        if not event.implicit[0]:
            return event.value
        try:
            return self._resolve(event.value)
        except ValueError as error:
            # Python limits integers in text to 4,300 digits.
            raise _error_at(event, "a number with too many digits") from error

    def _fill_list(self, value: list[Any], path: ValuePath, depth: int) -> None:
        lines = self.item_lines[id(value)] = []
        while type(event := self._next_event()) is not SequenceEndEvent:
            lines.append(event.start_mark.line + 1)
            # Paths cost time, and only positions need them.
            item_path = path if self._positions is None else (*path, len(value))
            value.append(self._node(event, item_path, depth))

    def _fill_mapping(self, value: dict[Any, Any], path: ValuePath, depth: int) -> None:
        while (kind := type(event := self._next_event())) is not MappingEndEvent:
            if kind is not ScalarEvent:
                raise _error_at(event, "a key that is not a plain word")
            if event.tag is not None:
                _tagged_scalar(event)  # refuses tags that are not allowed
            # A key is text, whatever it looks like. The same few keys occur in every scenario.
            key = intern(event.value)
            if key in value:
                raise _error_at(event, f"duplicate key {key!r}")
            item_path = path
            if self._positions is not None:
                item_path = (*path, key)
                mark = event.start_mark
                self._positions[item_path] = Position(0, 0, mark.line + 1, mark.column + 1)
            # The key takes its place before the value is read, so that messages keep the order.
            value[key] = None
            value[key] = self._node(self._next_event(), item_path, depth)

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _error_at(event, f"unknown alias {event.anchor!r}")
        value = self._anchors[event.anchor]
        self._nodes_from_aliases += _count_nodes(value)
        if self._nodes_from_aliases > _MAX_NODES_FROM_ALIASES:
            raise _error_at(event, "too many aliases")
        return value


def _tagged_scalar(event: Any) -> Any:
    name = event.tag.removeprefix(_CORE_TAG)
    try:
        if name in ("str", "!"):
            return event.value
        if name == "binary":
            return base64.b64decode(event.value)
        value = resolve_scalar(event.value)
        if name == "null" or (name == "bool" and isinstance(value, bool)):
            return value
        if name in ("int", "float"):
            return (int if name == "int" else float)(value)
    except (TypeError, ValueError) as error:
        raise _error_at(event, f"not a value of type !!{name}: {event.value!r}") from error
    raise _error_at(event, f"the tag {event.tag!r} is not allowed")


def _error_at(event: Any, message: str) -> YamlError:
    return YamlError(message, event.start_mark.line + 1, event.start_mark.column + 1)


def _start(mark: Any) -> tuple[int, int] | None:
    return (mark.line + 1, mark.column + 1) if mark else None


def _position_of(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


def _count_nodes(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_count_nodes, value.values()))
    return 1 + sum(map(_count_nodes, value)) if isinstance(value, list) else 1
