"""Reads cassettes of any writer of the format through YAML. Pure.

Every error is a CassetteError that starts with ``name:line``. A truncated file is refused, never
read in part.
"""

import json
from typing import Any, NoReturn

from evalkit._lib import yaml
from evalkit._lib.text import show
from evalkit._lib.yaml import ValuePath
from evalkit.cassette.bodies import JSON_STYLES
from evalkit.cassette.recording import VERSION, Cassette, Headers, Recording
from evalkit.errors import CassetteError

_ADVICE = (
    "correct it, restore it from version control, or delete it and record again; "
    "nothing was changed"
)
_RESPONSE_KEYS = frozenset(
    (
        *("status", "status_code", "headers", "body", "content", "parsed_body"),
        *("evalkit", "http_version"),
    )
)
_MOST_MILLISECONDS = 1e12
_TYPE_NAMES = {dict: "a mapping", list: "a list", str: "text", int: "an integer"}


def read_yaml(text: str, name: str) -> Cassette:
    """Read a cassette through YAML; ``name`` is the file's name. Raises CassetteError."""
    return _CassetteReader(text, name).cassette()


def resolve_common(text: str) -> Any:
    """Return the value of a plain scalar, or its text if YAML 1.1 and 1.2 differ.

    vcrpy writes YAML 1.1, where ``1e5`` and ``0o17`` are text and need no quotes.
    """
    value = yaml.resolve_scalar(text)
    if isinstance(value, float) and "." not in text:
        return text
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return text if is_integer and not text.lstrip("+-").isdigit() else value


class _CassetteReader:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._last_line = text.rstrip("\n").count("\n") + 1

    def cassette(self) -> Cassette:
        document, lines = self._document()
        if "version" not in document:
            message = "no 'version: 1': the file is truncated, or not a cassette"
            self._fail(self._last_line, message)
        if document["version"] != VERSION:
            version = show(document["version"], 30)
            message = f"unknown version {version} of the format; this evalkit reads {VERSION}"
            self._fail_at(("version",), message)
        metadata = self._get(document, dict, ("metadata",), {})
        # Other programs may have a key of this name.
        if "evalkit" in metadata and (layout := metadata.get("format", VERSION)) != VERSION:
            message = f"unknown format {show(layout, 30)}; this evalkit reads {VERSION}"
            self._fail_at(("metadata", "format"), message)
        recordings = []
        for index, item in enumerate(self._get(document, list, ("interactions",))):
            if not isinstance(item, dict):
                message = "is not a mapping with 'request:' and 'response:'"
                self._fail(lines[index], f"recording {index + 1} {message}")
            recordings.append(self._recording(item, ("interactions", index)))
        return Cassette(recordings, metadata)

    def _document(self) -> tuple[dict[str, Any], list[int]]:
        if not self._text.strip():
            self._fail(1, "the file is empty")
        try:
            document, lines = yaml.load_lines(self._text, resolve_common)
        except yaml.YamlError as error:
            is_at_end = error.line >= self._last_line
            what = "the file is truncated" if is_at_end else "the file cannot be read"
            self._fail(min(error.line, self._last_line), f"{what}: {error.message}")
        if isinstance(document, list):
            self._fail(1, "a list, which vcrpy wrote before version 1 of the format")
        if not isinstance(document, dict):
            self._fail(1, f"not a cassette: {show(document, 40)}")
        items = document.get("interactions")
        return document, lines.of(items) if isinstance(items, list) else []

    def _recording(self, item: dict[str, Any], path: ValuePath) -> Recording:
        request_path, response_path = (*path, "request"), (*path, "response")
        request = self._get(item, dict, request_path)
        response = self._get(item, dict, response_path)
        details_path = (*response_path, "evalkit")
        details = self._get(response, dict, details_path, {})
        if "status_code" in response and "status" not in response:
            # The form of vcrpy's httpx stub before version 6.
            status = self._get(response, int, (*response_path, "status_code"))
            reason, body_key = "", "content"
        else:
            status_mapping = self._get(response, dict, (*response_path, "status"))
            status = self._get(status_mapping, int, (*response_path, "status", "code"))
            reason, body_key = status_mapping.get("message"), "body"
        return Recording(
            # Clients send any spelling of a method in capitals; aiohttp's callers may not.
            method=self._get(request, str, (*request_path, "method")).upper(),
            uri=self._get(request, str, (*request_path, "uri")),
            request_body=self._body(request, (*request_path, "body")),
            request_headers=self._headers(request, (*request_path, "headers")),
            status=status,
            reason="" if reason is None else str(reason),
            response_headers=self._headers(response, (*response_path, "headers")),
            body=self._body(response, (*response_path, body_key)) or "",
            elapsed_ms=self._milliseconds(details.get("elapsed_ms"), (*details_path, "elapsed_ms")),
            event_ms=self._arrivals(details, (*details_path, "event_ms")),
            broken=self._get(details, str, (*details_path, "broken"), None),
            json_style=self._style(details, (*details_path, "json")),
            extra={key: value for key, value in response.items() if key not in _RESPONSE_KEYS},
        )

    def _get(self, mapping: dict[str, Any], kind: type, path: ValuePath, *default: Any) -> Any:
        """Return the value of the last key of ``path``; without a default it is required."""
        key = path[-1]
        value = mapping.get(str(key))
        if value is None:
            if default:
                return default[0]
            self._fail_at(path, f"'{key}:' is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            self._fail_at(path, f"'{key}:' is not {_TYPE_NAMES[kind]}: {show(value, 40)}")
        return value

    def _body(self, message: dict[str, Any], path: ValuePath) -> str | bytes | None:
        value = message.get(str(path[-1]))
        if value is None and "parsed_body" in message:
            # Serializers for pytest-recording store JSON bodies as YAML.
            try:
                return json.dumps(message["parsed_body"], ensure_ascii=False, allow_nan=False)
            except (TypeError, ValueError) as error:
                self._fail_at((*path[:-1], "parsed_body"), f"not a JSON value: {error}")
        if isinstance(value, dict):
            value = value.get("string", value.get("base64_string", value))
        if value is None or isinstance(value, str | bytes):
            return value
        problem = "is neither text nor !!binary"
        if isinstance(value, int | float) and not isinstance(value, bool):
            problem = "is a number; quote it, or its spelling is lost"
        return self._fail_at(path, f"the body {problem}: {show(value, 40)}")

    def _headers(self, mapping: dict[str, Any], path: ValuePath) -> Headers:
        headers = self._get(mapping, dict, path, {})
        return {name: list(map(_header_text, _flat(values))) for name, values in headers.items()}

    def _arrivals(self, details: dict[str, Any], path: ValuePath) -> tuple[float, ...]:
        values = self._get(details, list, path, [])
        return tuple(
            self._milliseconds(value, (*path, index)) or 0.0 for index, value in enumerate(values)
        )

    def _style(self, details: dict[str, Any], path: ValuePath) -> str:
        style: str = self._get(details, str, path, "")
        if style and style not in JSON_STYLES:
            self._fail_at(path, f"'json:' is not one of {', '.join(JSON_STYLES)}")
        return style

    def _milliseconds(self, value: Any, path: ValuePath) -> float | None:
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 <= value <= _MOST_MILLISECONDS):
            self._fail_at(path, f"not a number of milliseconds: {show(value, 40)}")
        return float(value)

    def _fail_at(self, path: ValuePath, message: str) -> NoReturn:
        if path[0] == "interactions" and len(path) > 1:
            location = " ".join([f"recording {int(path[1]) + 1},", *map(str, path[2:-1])])
            message = f"{location.rstrip(',')}: {message}"
        positions = yaml.locate(self._text)
        # A missing key has no position; its mapping has one.
        while path not in positions:
            path = path[:-1]
        self._fail(positions[path].key_line or positions[path].line, message)

    def _fail(self, line: int, message: str) -> NoReturn:
        raise CassetteError(f"{self._name}:{line} {message}\n    {_ADVICE}") from None


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list):
        return [inner for value in values for inner in _flat(value)]
    return [] if values is None else [values]


def _header_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value).lower() if isinstance(value, bool) else str(value)
