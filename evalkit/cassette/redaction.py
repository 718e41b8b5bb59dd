"""Secrets never reach the disk: what may be written of a recording, and a last guard over what is about to be written. Pure.

Three layers. Headers are written by allow-list, so a new header of a new client is left out unasked. Known secrets (the live key) are
looked for in every text, in the spellings a server or a client may give them: as they are, percent-encoded, JSON-escaped (also twice, as
in the arguments of a streamed call), base64 at any alignment, and cut up over the events of a stream. Configured patterns are applied as
given. Then ``guard`` looks at the final text once more; it finds a secret in places that nothing redacts, such as metadata.

A secret shorter than eight characters is no secret, and replacing it would garble words: it is only kept out of headers and queries.
The same redaction goes over the outgoing request before it is matched, so that a redacted recording still replays.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from urllib.parse import unquote

from evalkit.cassette.recording import Headers, Recording
from evalkit.cassette.yaml_scalars import to_bytes, to_text
from evalkit.errors import SecretLeak, UsageError
from evalkit.protocol.wire_facts import KEY_PARAMETERS, SIGNING_SECRET_PREFIX

TOKEN = "REDACTED"  # noqa: S105 - what stands in a secret's place
SHORTEST = 8
REQUEST_HEADERS = frozenset(("content-type",))
RESPONSE_HEADERS = frozenset(("content-type", "retry-after", "retry-after-ms"))

# Patterns as text, compiled by re when first used: a session that only replays uses none of them.
_SIGNING = SIGNING_SECRET_PREFIX + r"(?:[A-Za-z0-9+=_-]|\\?/){8,}"
"""Signing secrets of webhooks, which the API answers with and nobody could name beforehand (standardwebhooks.com)."""

_PARAMETER = r"([?&])([^=&#]+)=([^&#]*)"
_USER = r"(?<=://)[^/?#@]*@"
_ESCAPE = r"\\+u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%(?:25)*([0-9a-fA-F]{2})"
_STRING_FIELD = r'"([A-Za-z_]\w*)"\s*:\s*"((?:[^"\\]|\\.)*)"'


class Redactor:
    """Redacts by known secrets and configured patterns (regular expressions). Raises UsageError for a pattern that is none.

    With neither, ``active`` is False and texts pass unchanged. Nothing is compiled before it is needed.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Sequence[str] = ()) -> None:
        known = dict.fromkeys(secret.strip() for secret in secrets)
        self._secrets = tuple(
            secret for secret in known if len(secret) >= SHORTEST and secret not in TOKEN
        )
        self._sources = tuple(patterns)
        self._compiled: (
            tuple[list[tuple[str, re.Pattern[str], str]], list[re.Pattern[str]]] | None
        ) = None
        self.active = bool(self._secrets or self._sources)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets, {len(self._sources)} patterns)"

    def knowing(self, secrets: Iterable[str]) -> Redactor:
        """Return a redactor that knows further secrets."""
        more = [secret for secret in secrets if secret.strip() not in self._secrets]
        return Redactor([*self._secrets, *more], self._sources) if more else self

    def text(self, text: str) -> tuple[str, int]:
        """Return the text with every secret and every match of a pattern replaced, and how many there were."""
        if not self.active:
            return text, 0
        needles, patterns = self._rules()
        count = 0
        views = _views(text)
        for needle, spelled, token in needles:
            if _stands_in(needle, views):
                text, found = spelled.subn(token, text)
                count += found
        for pattern in patterns:
            text, found = pattern.subn(TOKEN, text)
            count += found
        return text, count

    def uri(self, uri: str) -> tuple[str, int]:
        """Return a URI without user and password, with the values of key parameters replaced, and redacted as a text."""
        uri, users = re.subn(_USER, "", uri)
        count = users

        def hide(found: re.Match[str]) -> str:
            nonlocal count
            if unquote(found[2]).lower() not in KEY_PARAMETERS or found[3] == TOKEN:
                return found[0]
            count += 1
            return f"{found[1]}{found[2]}={TOKEN}"

        uri = re.sub(_PARAMETER, hide, uri)
        uri, more = self.text(uri)
        return uri, count + more

    def recording(self, recording: Recording) -> tuple[Recording, int]:
        """Return what may be written of a recording, and how much was replaced in it. Raises UsageError where a pattern breaks JSON."""
        count = 0

        def clean(text: str, how: Callable[[str], tuple[str, int]] = self.text) -> str:
            nonlocal count
            text, found = how(text)
            count += found
            return text

        def clean_body(body: str | bytes) -> str | bytes:
            nonlocal count
            if isinstance(body, bytes):
                return to_bytes(clean(to_text(body)))
            joined, found = self._cut_up(body)
            count += found
            if SIGNING_SECRET_PREFIX in joined:
                joined, found = re.subn(_SIGNING, TOKEN, joined)
                count += found
            return self._still_json(body, clean(joined))

        return replace(
            recording,
            uri=clean(recording.uri, self.uri),
            request_body=None
            if recording.request_body is None
            else clean_body(recording.request_body),
            request_headers=_allowed(recording.request_headers, REQUEST_HEADERS, clean),
            reason=clean(recording.reason),
            response_headers=_allowed(recording.response_headers, RESPONSE_HEADERS, clean),
            body=clean_body(recording.body),
            broken=None if recording.broken is None else clean(recording.broken),
            extra=json.loads(clean(json.dumps(recording.extra))) if recording.extra else {},
        ), count

    def guard(self, content: str | bytes, where: str) -> None:
        """Raise SecretLeak if a known secret stands in what is about to be written to ``where``."""
        if not self._secrets:
            return
        views = _views(to_text(content))
        if any(_stands_in(needle, views) for needle, _, _ in self._rules()[0]):
            raise SecretLeak(
                f"{where}: a known secret (the API key) would have been written; nothing was written"
            )

    def _rules(self) -> tuple[list[tuple[str, re.Pattern[str], str]], list[re.Pattern[str]]]:
        if self._compiled is None:
            needles = [(secret, _spelled(secret), TOKEN) for secret in self._secrets]
            for secret in self._secrets:
                for inner in _base64_of(secret):
                    filler = (TOKEN * (len(inner) // len(TOKEN) + 1))[: len(inner)]
                    needles.append((inner, _spelled(inner), filler))
            self._compiled = needles, [_compile(source) for source in self._sources]
        return self._compiled

    def _cut_up(self, body: str) -> tuple[str, int]:
        # A model that repeats a key in a stream spreads it over events: joined, the strings of one field would tell it.
        if not self._secrets or "data:" not in body:
            return body, 0
        count = 0
        for secret in self._secrets:
            while (joined := _without_one(body, secret)) is not None:
                body = joined
                count += 1
        return body, count

    def _still_json(self, before: str, after: str) -> str:
        if (
            self._sources
            and before is not after
            and before.lstrip()[:1] in ("{", "[")
            and _is_json(before)
            and not _is_json(after)
        ):
            raise UsageError(
                f"a redaction pattern ({', '.join(map(repr, self._sources))}) breaks a JSON body; it must match inside one string"
            )
        return after


def _compile(source: str) -> re.Pattern[str]:
    try:
        return re.compile(source)
    except re.error as error:
        raise UsageError(
            f"redaction pattern {source!r} is not a regular expression: {error}"
        ) from error


def _allowed(headers: Headers, allowed: frozenset[str], clean: Callable[[str], str]) -> Headers:
    return {
        name.lower(): [clean(value) for value in values]
        for name, values in headers.items()
        if name.lower() in allowed
    }


def _spelled(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spellings, secret)))


def _spellings(char: str) -> str:
    # Percent signs may be encoded themselves (%2541), backslashes escaped again (\\u0041 inside a string inside a string).
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in char.encode("utf-8", "surrogatepass"))
    units = char.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"\\+u(?i:{units[start : start + 4]})" for start in range(0, len(units), 4))
    before = r"\\*" if char in '"\\/' else ""
    space = r"|\+" if char == " " else ""
    return f"(?:{before}{re.escape(char)}|{escaped}|{encoded}{space})"


def _base64_of(secret: str) -> list[str]:
    # The characters of a base64 text that depend on the secret alone, for each of the three places it can begin at.
    data = secret.encode("utf-8", "surrogatepass")
    found = []
    for offset, first in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(offset) + data).decode()[
            first : (offset + len(data)) * 8 // 6
        ]
        found += (
            [text, text.translate(str.maketrans("+/", "-_"))]
            if "+" in text or "/" in text
            else [text]
        )
    return found


def _views(text: str) -> tuple[str, ...]:
    # Backslashes are left out: how many of them escape something depends on how deep a text is quoted.
    if "\\" not in text and "%" not in text:
        return (text,)
    return text.replace("\\", ""), re.sub(
        _ESCAPE, lambda found: chr(int(found[1] or found[2] or found[3], 16)), text
    ).replace("\\", "")


def _stands_in(needle: str, views: tuple[str, ...]) -> bool:
    plain = needle.replace("\\", "")
    return any(plain in view for view in views)


def _without_one(body: str, secret: str) -> str | None:
    fields: dict[str, list[re.Match[str]]] = {}
    for found in re.finditer(_STRING_FIELD, body):
        fields.setdefault(found[1], []).append(found)
    for pieces in fields.values():
        texts = [_value(found[2]) for found in pieces]
        at = "".join(texts).find(secret)
        if at < 0:
            continue
        edits = []
        for found, text in zip(pieces, texts, strict=True):
            first, last = max(at, 0), min(at + len(secret), len(text))
            if first < last:
                kept = text[:first] + (TOKEN if at >= 0 else "") + text[last:]
                edits.append(
                    (found.start(2), found.end(2), json.dumps(kept, ensure_ascii=False)[1:-1])
                )
            at -= len(text)
        for start, end, kept in reversed(edits):
            body = body[:start] + kept + body[end:]
        return body
    return None


def _value(inner: str) -> str:
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        return inner


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
