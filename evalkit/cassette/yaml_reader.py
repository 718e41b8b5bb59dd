"""Reads a cassette of any writer of the format, and says of a bad one which line is wrong.

Pure. Every complaint is a CassetteError ``name:line message``. What looks like a cassette but is not whole is refused, never read in part.
"""

from __future__ import annotations

from typing import Any, NoReturn

from evalkit._lib import yaml
from evalkit._lib.text import show
from evalkit.cassette.recording import Cassette, Headers, Recording
from evalkit.errors import CassetteError

Path = tuple[str | int, ...]
_VERSION = 1
_WAYS_OUT = "put it right, restore it from version control, or delete it and record again; nothing was changed"
_RESPONSE_KEYS = frozenset(
    ("status", "status_code", "headers", "body", "content", "evalkit", "http_version")
)
_NAMES = {dict: "a mapping", list: "a list", str: "a text", int: "a whole number"}


def read_yaml(text: str, name: str) -> Cassette:
    """Read a cassette through YAML. Raises CassetteError."""
    return _Reader(text, name).cassette()


def plain(text: str) -> Any:
    """Resolve a plain scalar to what YAML 1.1 and 1.2 both take it for; a text where they differ.

    vcrpy writes by YAML 1.1, where ``1e5`` and ``0o17`` are texts and stand unquoted.
    """
    value = yaml.resolve_scalar(text)
    if (type(value) is float and "." not in text) or (
        type(value) is int and not text.lstrip("+-").isdigit()
    ):
        return text
    return value


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name

    def cassette(self) -> Cassette:
        document, starts = self._document()
        if "version" not in document:
            self._refuse(
                self._text.rstrip("\n").count("\n") + 1,
                "no 'version: 1': the file was cut off, or is no cassette",
            )
        if document["version"] != _VERSION:
            self._refuse_at(
                ("version",),
                f"version {show(document['version'], 30)} of the format is not known; this evalkit reads {_VERSION}",
            )
        recordings = []
        for index, item in enumerate(self._of(document, list, ("interactions",))):
            if not isinstance(item, dict):
                self._refuse(
                    starts[index],
                    f"recording {index + 1} is not a mapping with 'request:' and 'response:'",
                )
            recordings.append(self._recording(item, ("interactions", index)))
        return Cassette(recordings, self._of(document, dict, ("metadata",), {}))

    def _document(self) -> tuple[dict[str, Any], list[int]]:
        text = self._text
        if not text.strip():
            self._refuse(1, "the file is empty")
        try:
            document, lines = yaml.load_lines(text, plain)
        except yaml.YamlError as error:
            last = text.rstrip("\n").count("\n") + 1
            cut = "the file was cut off" if error.line >= last else "not readable"
            self._refuse(min(error.line, last), f"{cut}: {error.message}")
        if isinstance(document, list):
            self._refuse(1, "a list: vcrpy wrote that before version 1 of the format")
        if not isinstance(document, dict):
            self._refuse(1, f"no cassette, but {show(document, 40)}")
        items = document.get("interactions")
        return document, lines.of(items) if isinstance(items, list) else []

    def _recording(self, item: dict[str, Any], at: Path) -> Recording:
        request = self._of(item, dict, (*at, "request"))
        response = self._of(item, dict, (*at, "response"))
        there: Path = (*at, "response")
        known = self._of(response, dict, (*there, "evalkit"), {})
        if "status_code" in response and "status" not in response:  # vcrpy's httpx stub before 6.0
            status, code, reason, body = response, (*there, "status_code"), "", "content"
        else:
            status, code, body = (
                self._of(response, dict, (*there, "status")),
                (*there, "status", "code"),
                "body",
            )
            reason = status.get("message")
        return Recording(
            method=self._of(request, str, (*at, "request", "method")),
            uri=self._of(request, str, (*at, "request", "uri")),
            request_body=self._body(request.get("body"), (*at, "request", "body")),
            request_headers=self._headers(request, (*at, "request", "headers")),
            status=self._of(status, int, code),
            reason="" if reason is None else str(reason),
            response_headers=self._headers(response, (*there, "headers")),
            body=self._body(response.get(body), (*there, body)) or "",
            elapsed_ms=self._milliseconds(
                known.get("elapsed_ms", None), (*there, "evalkit", "elapsed_ms")
            ),
            event_ms=self._arrivals(known, (*there, "evalkit", "event_ms")),
            broken=self._of(known, str, (*there, "evalkit", "broken"), None),
            extra={key: value for key, value in response.items() if key not in _RESPONSE_KEYS},
        )

    def _of(self, holder: dict[str, Any], kind: type, path: Path, *default: Any) -> Any:
        key = path[-1]
        value = holder.get(str(key))
        if value is None and default:
            return default[0]
        if value is None:
            self._refuse_at(path, f"{_where(path)}no '{key}:'")
        if not isinstance(value, kind) or isinstance(value, bool):
            self._refuse_at(
                path, f"{_where(path)}'{key}:' is not {_NAMES[kind]}: {show(value, 40)}"
            )
        return value

    def _body(self, value: Any, path: Path) -> str | bytes | None:
        if isinstance(value, dict):
            value = value.get("string", value.get("base64_string", value))
        if value is None or isinstance(value, str | bytes):
            return value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        what = (
            "is a number; quote it, or its spelling is lost"
            if number
            else "is neither a text nor !!binary"
        )
        return self._refuse_at(path, f"{_where(path)}the body {what}: {show(value, 40)}")

    def _headers(self, holder: dict[str, Any], path: Path) -> Headers:
        headers = self._of(holder, dict, path, {})
        return {name: [_text(value) for value in _flat(values)] for name, values in headers.items()}

    def _milliseconds(self, value: Any, path: Path) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse_at(path, f"{_where(path)}not a number of milliseconds: {show(value, 40)}")
        return float(value)

    def _arrivals(self, known: dict[str, Any], path: Path) -> tuple[float, ...]:
        values = self._of(known, list, path, [])
        return tuple(
            self._milliseconds(value, (*path, index)) or 0.0 for index, value in enumerate(values)
        )

    def _refuse_at(self, path: Path, message: str) -> NoReturn:
        positions = yaml.locate(self._text)
        while path not in positions:
            path = path[:-1]
        found = positions[path]
        self._refuse(found.key_line or found.line, message)

    def _refuse(self, line: int, message: str) -> NoReturn:
        raise CassetteError(f"{self._name}:{line} {message}\n    {_WAYS_OUT}") from None


def _where(path: Path) -> str:
    if path[0] != "interactions" or len(path) < 2:
        return ""
    inner = " ".join(str(part) for part in path[2:-1])
    return (
        f"recording {int(path[1]) + 1}, {inner}: " if inner else f"recording {int(path[1]) + 1}: "
    )


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list):
        return [inner for value in values for inner in _flat(value)]
    return [] if values is None else [values]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
