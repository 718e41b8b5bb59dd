"""Redaction: secrets never reach the disk. Pure.

There are three layers. Headers are written by an allow-list, so an unknown header is left out.
Known secrets (the live key) are replaced in every text, in every spelling that a server or client
may use: plain, percent-encoded, JSON-escaped (also twice, as in the arguments of a streamed call),
base64 at any alignment, and split over the events of a stream. Configured patterns are searched for
in the values of strings: in a JSON document never outside of them, and in a stream in the text that
its events add up to. Finally ``guard`` searches the text that is about to be written; it finds a
secret where nothing redacts, such as in metadata.

A secret that anybody may write by chance is not replaced in texts, because that would change
ordinary words of the conversation: one under eight characters, or a word (``anything``). It is only
kept out of headers and queries. Outgoing requests are redacted in the same way before they are
matched, so a redacted recording can be replayed.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.exact_json import read_exact, write_exact
from evalkit._lib.json import JSON
from evalkit._lib.patterns import Pattern, PatternError, compile_pattern
from evalkit.cassette.bodies import is_json, to_bytes, to_text
from evalkit.cassette.headers import (
    REQUEST_HEADERS,
    SHORTEST,
    TOKEN,
    is_recorded,
    redact_header,
)
from evalkit.cassette.recording import Headers, Recording
from evalkit.cassette.secret_fields import redact_recording
from evalkit.errors import SecretLeak, UsageError
from evalkit.protocol.wire_facts import KEY_PARAMETERS, SIGNING_SECRET_PREFIX

# The API sends signing secrets that nobody can configure as known secrets beforehand.
_SIGNING_SECRET = re.compile(SIGNING_SECRET_PREFIX + r"(?:[A-Za-z0-9+=_-]|\\?/){8,}")
_PARAMETER = re.compile(r"([?&])([^=&#]+)=([^&#]*)")
_USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%(?:25)*([0-9a-fA-F]{2})")
# A random key of this form is rarer than one in a billion.
_WORD = re.compile(r"[A-Z]?[a-z]{1,23}|[A-Z]{1,24}")
# A string with what tells whether it is the name of a member, or a whole number that may be one of
# an account. Shorter numbers are counts and indexes.
_JSON_TOKEN = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|(?<![\w.+-])-?\d{8,}(?![\w.])')
_EVENT_LINE = re.compile(r"(?m)^(data:.*)$")
_STREAMED = ("text", "arguments")
"""Fields of a delta whose pieces add up to one text."""


class Redactor:
    """Redacts known secrets and configured patterns (regular expressions).

    ``active`` is False without either; then text stays unchanged. An invalid pattern raises
    UsageError when it is first used.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Sequence[str] = ()) -> None:
        self._secrets = tuple(
            dict.fromkeys(secret.strip() for secret in secrets if is_replaceable(secret.strip()))
        )
        self._patterns = tuple(patterns)
        self.active = bool(self._secrets or self._patterns)

    def with_secrets(self, secrets: Iterable[str]) -> "Redactor":
        """Return a redactor that knows further secrets."""
        stripped = {secret.strip(): None for secret in secrets}
        new = [each for each in stripped if each not in self._secrets and is_replaceable(each)]
        return Redactor([*self._secrets, *new], self._patterns) if new else self

    def with_secrets_in(self, recording: Recording) -> "Redactor":
        """Return a redactor that also knows the secrets in the fields of a recording."""
        return self.with_secrets(redact_recording(recording)[1])

    def text(self, text: str) -> str:
        """Return a text, which may be a JSON document, without secrets and matches of patterns."""
        text = self._without_secrets(text)
        for pattern in self._compiled_patterns:
            text = _apply(text, _edits(text, pattern))
        return text

    def _without_secrets(self, text: str) -> str:
        views = _unescaped_views(text) if self._secrets else []
        for secret, pattern, replacement in self._secret_rules:
            if _is_in(secret, views):
                text = pattern.sub(replacement, text)
        return text

    def events(self, events: Sequence[JSON]) -> list[JSON]:
        """Return the events of a stream without secrets and matches in the texts they add up to."""
        pieces: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        for number, event in enumerate(events):
            if isinstance(event, dict):
                for path, text in _strings(event, (repr(event.get("index")),)):
                    pieces.setdefault(path, []).append((number, text))
        cleaned = list(events)
        for path, items in pieces.items():
            before = [text for _, text in items]
            after = self._joined(before, path[-1] in _STREAMED)
            for (number, _), old, new in zip(items, before, after, strict=True):
                if old != new:
                    cleaned[number] = _replaced(cleaned[number], path[1:], new)
        return cleaned

    def _joined(self, texts: list[str], with_patterns: bool) -> list[str]:
        """Redact pieces of one text, each match in the piece in which it starts."""
        whole = "".join(texts)
        views = _unescaped_views(whole) if self._secrets else []
        for secret, pattern, replacement in self._secret_rules:
            if _is_in(secret, views):
                found = pattern.finditer("".join(texts))
                texts = _distribute(texts, [Edit(*each.span(), replacement) for each in found])
        for configured in self._compiled_patterns if with_patterns else ():
            texts = _distribute(texts, _edits("".join(texts), configured))
        return texts

    def uri(self, uri: str) -> str:
        """Return a redacted URI without user, password and values of key parameters."""
        return self.text(_PARAMETER.sub(_redact_key, _USER_INFO.sub("", uri)))

    def recording(self, recording: Recording) -> tuple[Recording, int]:
        """Return a recording as it may be written, and the number of replacements in it.

        Raises UsageError if a pattern breaks JSON.
        """
        clean, found = redact_recording(recording)
        if found:
            redacted = self.with_secrets(found).recording(clean)[0]
            return redacted, max(0, repr(redacted).count(TOKEN) - repr(recording).count(TOKEN))
        request_body = recording.request_body
        redacted = replace(
            recording,
            uri=self.uri(recording.uri),
            request_body=None if request_body is None else self._body(request_body),
            request_headers=self._headers(recording.request_headers, REQUEST_HEADERS.__contains__),
            reason=self.text(recording.reason),
            response_headers=self._headers(recording.response_headers, is_recorded),
            body=self._body(recording.body),
            broken=None if recording.broken is None else self.text(recording.broken),
            extra=read_exact(self.text(write_exact(recording.extra))) if recording.extra else {},
        )
        return redacted, max(0, repr(redacted).count(TOKEN) - repr(recording).count(TOKEN))

    def guard(self, content: str | bytes, where: str) -> None:
        """Raise SecretLeak if content that is about to be written has a known secret."""
        if not self._secrets:
            return
        views = _unescaped_views(to_text(content))
        if any(_is_in(secret, views) for secret, _, _ in self._secret_rules):
            raise SecretLeak(
                f"{where}: a known secret (the API key) was about to be written; "
                "nothing was written"
            )

    @cached_property
    def _secret_rules(self) -> list[tuple[str, re.Pattern[str], str]]:
        """Secrets and their base64 forms: text, pattern of all spellings, replacement."""
        rules = [(secret, _spellings(secret), TOKEN) for secret in self._secrets]
        for secret in self._secrets:
            for text in _base64_forms(secret):
                # A replacement of the same length keeps the rest of the base64 text valid.
                filler = (TOKEN * (len(text) // len(TOKEN) + 1))[: len(text)]
                rules.append((text, _spellings(text), filler))
        return rules

    @cached_property
    def _compiled_patterns(self) -> list[Pattern]:
        compiled = []
        for pattern in self._patterns:
            try:
                compiled.append(compile_pattern(pattern))
            except PatternError as error:
                message = f"redaction pattern {pattern!r} is not a regular expression: {error}"
                raise UsageError(message) from error
        return compiled

    def _headers(self, headers: Headers, is_allowed: Callable[[str], bool]) -> Headers:
        return {
            name.lower(): [self.text(redact_header(name.lower(), value)) for value in values]
            for name, values in headers.items()
            if is_allowed(name.lower())
        }

    def _body(self, body: str | bytes) -> str | bytes:
        if isinstance(body, bytes):
            return to_bytes(self.text(to_text(body)))
        text = _SIGNING_SECRET.sub(TOKEN, body)
        if not self.active or "data:" not in text:
            clean = self.text(text)
            if clean != text and is_json(text) and not is_json(clean):
                patterns = ", ".join(map(repr, self._patterns))
                raise UsageError(
                    f"a redaction pattern ({patterns}) breaks a JSON body (it must match inside one"
                    " string); write it without quotes"
                )
            return clean
        # Every second part is a line of data.
        parts = _EVENT_LINE.split(text)
        events = [_event(line) for line in parts[1::2]]
        for number, clean in enumerate(self.events(events)):
            at, line = 2 * number + 1, parts[2 * number + 1]
            if clean is not events[number]:
                end = "\r" if line.endswith("\r") else ""
                parts[at] = f"data: {write_exact(clean, ensure_ascii=line.isascii())}{end}"
            elif clean is None or not any(path[-1] in _STREAMED for path, _ in _strings(clean)):
                parts[at] = line[:5] + self.text(line[5:])
        parts[::2] = map(self.text, parts[::2])
        return self._without_secrets("".join(parts))


class Edit(NamedTuple):
    """A part of a text, and what replaces it."""

    start: int
    end: int
    replacement: str


def is_replaceable(secret: str) -> bool:
    """Return whether a secret is replaced in texts: nobody would write it by chance."""
    return len(secret) >= SHORTEST and not _WORD.fullmatch(secret) and secret not in TOKEN


def _edits(text: str, pattern: Pattern) -> list[Edit]:
    """Return the edits that remove the matches of a pattern from a text.

    In a JSON document, also one inside a string, the values of strings are searched, names that
    are not identifiers, and long whole numbers. A pattern with a quote is about the JSON text.
    """
    is_document = text.lstrip().startswith(("{", "[")) and is_json(text)
    if not is_document or '"' in pattern.pattern:
        found = pattern.finditer(text)
        return [Edit(match.start(), match.end(), TOKEN) for match in found if match.group()]
    edits = []
    for token in _JSON_TOKEN.finditer(text):
        string, colon = token.groups()
        if string is None:
            if pattern.fullmatch(token.group()):
                edits.append(Edit(*token.span(), f'"{TOKEN}"'))
            continue
        value = json.loads(string, strict=False)
        if colon and value.isidentifier():
            continue
        if inner := _edits(value, pattern):
            quoted = json.dumps(_apply(value, inner), ensure_ascii=string.isascii())
            edits.append(Edit(*token.span(1), quoted))
    return edits


def _apply(text: str, edits: Sequence[Edit]) -> str:
    return _distribute([text], edits)[0]


def _distribute(texts: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """Apply edits of the joined text to its pieces."""
    changed = list(texts)
    for start, end, replacement in reversed(edits):
        at = 0
        for number, text in enumerate(texts):
            first, last = max(start - at, 0), min(end - at, len(text))
            if first < last:
                new = replacement if start >= at else ""
                changed[number] = changed[number][:first] + new + changed[number][last:]
            at += len(text)
    return changed


def _event(line: str) -> JSON:
    try:
        event = read_exact(line.removeprefix("data:"), dict)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _strings(value: JSON, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every string in a JSON value with its path; numbers in it are positions in a list."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, (*path, str(index)))


def _replaced(value: JSON, path: tuple[str, ...], new: str) -> JSON:
    """Return a copy of a JSON value with another string at a path."""
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: _replaced(value[path[0]], path[1:], new)}
    index = int(path[0])
    return [*value[:index], _replaced(value[index], path[1:], new), *value[index + 1 :]]


def _redact_key(match: re.Match[str]) -> str:
    is_key = unquote(match[2]).lower() in KEY_PARAMETERS
    return f"{match[1]}{match[2]}={TOKEN}" if is_key else match[0]


def _spellings(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spellings_of_character, secret)))


def _spellings_of_character(char: str) -> str:
    # Percent signs may be encoded again (%2541), and backslashes escaped again (\\u0041 in a string
    # inside a string).
    data = char.encode("utf-8", "surrogatepass")
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in data)
    units = char.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\+u(?i:{units[start : start + 4]})" for start in range(0, len(units), 4))
    backslashes = r"\\*" if char in '"\\/' else ""
    plus = r"|\+" if char == " " else ""
    return f"(?:{backslashes}{re.escape(char)}|{escaped}|{encoded}{plus})"


def _base64_forms(secret: str) -> list[str]:
    """Return the base64 characters that depend on the secret alone, for all alignments."""
    data = secret.encode("utf-8", "surrogatepass")
    forms = []
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        last = (offset + len(data)) * 8 // 6
        text = base64.b64encode(bytes(offset) + data).decode()[first:last]
        url_safe = text.replace("+", "-").replace("/", "_")
        forms += [text] if text == url_safe else [text, url_safe]
    return forms


def _unescaped_views(text: str) -> list[str]:
    # Without backslashes, because their number depends on how deeply a text is quoted.
    unescaped = _ESCAPE.sub(lambda match: chr(int(match[1] or match[2] or match[3], 16)), text)
    return [text.replace("\\", ""), unescaped.replace("\\", "")]


def _is_in(secret: str, views: list[str]) -> bool:
    plain = secret.replace("\\", "")
    return any(plain in view for view in views)
