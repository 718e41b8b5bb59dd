"""YAML 1.2 core schema, read from libyaml's events: fast, safe by construction, with positions when they are needed.

PyYAML's own loaders follow YAML 1.1 (``no`` is false, ``1:30`` is 90) and build nodes and then objects in Python. Here the events
that libyaml's C parser gives are folded straight into values: half the time, the core schema of YAML 1.2.2 (chapter 10.3),
duplicate keys refused (chapter 3.2.1.3), no tag but the core ones and ``!!binary``, so no file can make an object or run code.

``load`` gives values only, ``load_lines`` also the lines on which list items start, at next to no cost. ``locate`` parses again and gives
the position of every key and value: called when an error must be shown.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from math import isfinite
from sys import intern
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from evalkit._lib.source_positions import ListLines, Position

# A wheel of PyYAML has libyaml in it; a source build may lack it, and then the same events come from Python, slower.
_PARSER: Any = yaml.cyaml.CParser if yaml.__with_libyaml__ else yaml.SafeLoader  # type: ignore[attr-defined]
_INT = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_CONSTANTS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), "-.Inf": float("-inf"),
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_MAY_BE_SPECIAL = frozenset("0123456789+-.~nNtTfF")
_MAX_DEPTH = 200
_MAX_NODES_FROM_ALIASES = 100_000


class YamlError(ValueError):
    """Text that is not YAML, or YAML that is refused; ``line`` and ``column`` count from 1.

    ``context`` is libyaml's word on what it was reading (``while parsing a flow sequence``), ``started`` where that began.
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
    """Resolve a plain scalar by the core schema."""
    if not text:
        return None
    if text[0] not in _MAY_BE_SPECIAL:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.match(text):
        return (
            int(text, 8)
            if text.startswith("0o")
            else int(text, 16)
            if text.startswith("0x")
            else int(text)
        )
    return float(text) if _FLOAT.match(text) else text


def load(text: str) -> Any:
    """Parse one YAML document into dicts, lists, strings, numbers, booleans, None and bytes (``!!binary``).

    An empty document is None. Raises YamlError: not YAML, a duplicate key, an unknown tag or alias, a second document.
    """
    return _Fold(text, None).value


def load_lines(text: str, resolve: Callable[[str], Any] = resolve_scalar) -> tuple[Any, ListLines]:
    """Parse as :func:`load` does, and tell on which line each list item starts. ``resolve`` reads the plain scalars."""
    lines: dict[int, list[int]] = {}
    fold = _Fold(text, None, lines, resolve)
    return fold.value, ListLines(fold.value, lines, fold.nulls, fold.beyond_json)


def locate(text: str) -> dict[tuple[str | int, ...], Position]:
    """Return the position of every value by its path, e.g. ``("scenarios", 0, "id")``. Raises YamlError as :func:`load` does."""
    positions: dict[tuple[str | int, ...], Position] = {}
    _Fold(text, positions)
    return positions


def _tagged(event: Any) -> Any:
    name = event.tag.removeprefix("tag:yaml.org,2002:")
    try:
        if name in ("str", "!"):
            return event.value
        if name == "binary":
            return base64.b64decode(event.value)
        if name == "null" or (name == "bool" and isinstance(resolve_scalar(event.value), bool)):
            return resolve_scalar(event.value)
        if name in ("int", "float"):
            return (int if name == "int" else float)(resolve_scalar(event.value))
    except (TypeError, ValueError) as error:
        raise _refuse(event, f"not a value of type !!{name}: {event.value!r}") from error
    raise _refuse(event, f"the tag {event.tag!r} is not allowed")


def _is_beyond_json(value: Any) -> bool:
    return isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value))


def _check_tag(event: Any, name: str) -> None:
    if event.tag not in ("!", f"tag:yaml.org,2002:{name}"):
        raise _refuse(event, f"the tag {event.tag!r} is not allowed")


def _refuse(event: Any, message: str) -> YamlError:
    return YamlError(message, event.start_mark.line + 1, event.start_mark.column + 1)


def _place(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


class _Fold:
    """Folds the events of one document into a value; with ``positions`` it notes where everything stands."""

    def __init__(
        self,
        text: str,
        positions: dict[tuple[str | int, ...], Position] | None,
        lines: dict[int, list[int]] | None = None,
        resolve: Callable[[str], Any] = resolve_scalar,
    ) -> None:
        self._resolve = resolve
        self._positions = positions
        self._lines = lines
        self._anchors: dict[str, Any] = {}
        self._aliased = 0
        self.nulls = False
        self.beyond_json = False
        try:
            self._parser = _PARSER(text)
            self.value = self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            began = error.context_mark
            started = (began.line + 1, began.column + 1) if began else None
            raise YamlError(
                error.problem or error.context or "not YAML",
                line,
                column,
                error.context or "",
                started,
            ) from error
        except yaml.reader.ReaderError as error:
            code = (
                error.character
                if isinstance(error.character, int)
                else ord(error.character[:1] or "?")
            )
            raise YamlError(
                f"a character that YAML does not allow: U+{code:04X}", *_place(text, error.position)
            ) from error
        except UnicodeEncodeError as error:
            raise YamlError(
                "a lone surrogate, which YAML does not allow", *_place(text, error.start)
            ) from error

    def _document(self) -> Any:
        get = self._parser.get_event
        get()  # stream start
        event = get()
        if type(event).__name__ == "StreamEndEvent":
            return None
        value = self._node(get(), (), 0)
        get()  # document end
        event = get()
        if type(event).__name__ != "StreamEndEvent":
            raise _refuse(event, "a second document; one file holds one")
        return value

    def _node(self, event: Any, path: tuple[str | int, ...], depth: int) -> Any:
        kind = type(event)
        if self._positions is not None:
            self._note(event, path)
        if kind is ScalarEvent:
            value: Any = event.value
            if event.tag is not None:
                value = _tagged(event)
                self.beyond_json = self.beyond_json or _is_beyond_json(value)
            elif event.implicit[0]:
                try:
                    value = self._resolve(value)
                    if value is None:
                        self.nulls = True
                    elif type(value) is float:
                        self.beyond_json = self.beyond_json or _is_beyond_json(value)
                except ValueError as error:  # Python reads no integer of more than 4,300 digits
                    raise _refuse(event, "a number with too many digits") from error
        elif kind is MappingStartEvent:
            value = {}
            if event.tag is not None:
                _check_tag(event, "map")
            if depth > _MAX_DEPTH:
                raise _refuse(event, f"nested more than {_MAX_DEPTH} deep")
            self._mapping(value, path, depth + 1)
        elif kind is SequenceStartEvent:
            value = []
            if event.tag is not None:
                _check_tag(event, "seq")
            if depth > _MAX_DEPTH:
                raise _refuse(event, f"nested more than {_MAX_DEPTH} deep")
            get = self._parser.get_event
            lines: list[int] | None = None
            if self._lines is not None:
                lines = self._lines[id(value)] = []
            while type(item := get()) is not SequenceEndEvent:
                if lines is not None:
                    lines.append(item.start_mark.line + 1)
                value.append(
                    self._node(
                        item,
                        (*path, len(value)) if self._positions is not None else path,
                        depth + 1,
                    )
                )
        else:
            return self._alias(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, value: dict[Any, Any], path: tuple[str | int, ...], depth: int) -> None:
        get = self._parser.get_event
        while type(event := get()) is not MappingEndEvent:
            key: Any = None
            if type(event) is ScalarEvent:
                key = (
                    _tagged(event) if event.tag else event.value
                )  # a plain key is a word, whatever it looks like
            elif type(event) is AliasEvent:
                key = self._alias(event)
            if not isinstance(key, str):
                if type(event) is not ScalarEvent:
                    raise _refuse(event, "a key that is not a plain word")
                key = event.value
            key = intern(key)  # the same few words in every scenario and recording
            if key in value:
                raise _refuse(event, f"duplicate key {key!r}")
            below = path
            if self._positions is not None:
                below = (*path, key)
                mark = event.start_mark
                self._positions[below] = Position(0, 0, mark.line + 1, mark.column + 1)
            value[key] = None
            value[key] = self._node(get(), below, depth)

    def _note(self, event: Any, path: tuple[str | int, ...]) -> None:
        assert self._positions is not None
        mark = event.start_mark
        held = self._positions.get(path)
        key_line, key_column = (held.key_line, held.key_column) if held else (0, 0)
        self._positions[path] = Position(mark.line + 1, mark.column + 1, key_line, key_column)

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _refuse(event, f"unknown alias {event.anchor!r}")
        value = self._anchors[event.anchor]
        self._aliased += _count(value)
        if self._aliased > _MAX_NODES_FROM_ALIASES:
            raise _refuse(event, "too many aliases")
        return value


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(_count(item) for item in value.values())
    if isinstance(value, list):
        return 1 + sum(_count(item) for item in value)
    return 1
