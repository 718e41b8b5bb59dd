"""Redaction: secrets never reach the disk. Pure.

There are three layers. Headers are written by an allow-list, so an unknown header is left out.
Known secrets (the live key) are replaced in every text, in every spelling that a server or client
may use: plain, percent-encoded, JSON-escaped (also twice, as in the arguments of a streamed call),
base64 at any alignment, and split over the events of a stream. Configured patterns are applied as
they are. Finally ``guard`` searches the text that is about to be written; it finds a secret where
nothing redacts, such as in metadata.

A secret under eight characters is not replaced in texts, because that would damage ordinary words;
it is only kept out of headers and queries. Outgoing requests are redacted in the same way before
they are matched, so a redacted recording can be replayed.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from urllib.parse import unquote

from evalkit.cassette.bodies import is_json, to_bytes, to_text
from evalkit.cassette.recording import Headers, Recording
from evalkit.errors import SecretLeak, UsageError
from evalkit.protocol.wire_facts import KEY_PARAMETERS, SIGNING_SECRET_PREFIX

TOKEN = "REDACTED"  # noqa: S105 - the replacement, not a secret
SHORTEST = 8
REQUEST_HEADERS = frozenset(("content-type",))
RESPONSE_HEADERS = frozenset(("content-type", "retry-after", "retry-after-ms"))

# The API sends signing secrets that nobody can configure as known secrets beforehand.
_SIGNING_SECRET = re.compile(SIGNING_SECRET_PREFIX + r"(?:[A-Za-z0-9+=_-]|\\?/){8,}")
_PARAMETER = re.compile(r"([?&])([^=&#]+)=([^&#]*)")
_USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")
_ESCAPE = re.compile(r"\\+u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%(?:25)*([0-9a-fA-F]{2})")
_STRING_FIELD = re.compile(r'"([A-Za-z_]\w*)"\s*:\s*"((?:[^"\\]|\\.)*)"')


class Redactor:
    """Redacts known secrets and configured patterns (regular expressions).

    ``active`` is False without either; then text stays unchanged. An invalid pattern raises
    UsageError when it is first used.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Sequence[str] = ()) -> None:
        stripped = dict.fromkeys(secret.strip() for secret in secrets)
        self._secrets = tuple(
            secret for secret in stripped if len(secret) >= SHORTEST and secret not in TOKEN
        )
        self._patterns = tuple(patterns)
        self.active = bool(self._secrets or self._patterns)

    def with_secrets(self, secrets: Iterable[str]) -> "Redactor":
        """Return a redactor that knows further secrets."""
        new = [secret for secret in secrets if secret.strip() not in self._secrets]
        return Redactor([*self._secrets, *new], self._patterns) if new else self

    def text(self, text: str) -> str:
        """Return a text without secrets and without matches of patterns."""
        views = _unescaped_views(text) if self._secrets else []
        for secret, pattern, replacement in self._secret_rules:
            if _is_in(secret, views):
                text = pattern.sub(replacement, text)
        for pattern in self._compiled_patterns:
            text = pattern.sub(TOKEN, text)
        return text

    def uri(self, uri: str) -> str:
        """Return a redacted URI without user, password and values of key parameters."""
        return self.text(_PARAMETER.sub(_redact_key, _USER_INFO.sub("", uri)))

    def recording(self, recording: Recording) -> tuple[Recording, int]:
        """Return a recording as it may be written, and the number of replacements in it.

        Raises UsageError if a pattern breaks JSON.
        """
        request_body = recording.request_body
        redacted = replace(
            recording,
            uri=self.uri(recording.uri),
            request_body=None if request_body is None else self._body(request_body),
            request_headers=self._headers(recording.request_headers, REQUEST_HEADERS),
            reason=self.text(recording.reason),
            response_headers=self._headers(recording.response_headers, RESPONSE_HEADERS),
            body=self._body(recording.body),
            broken=None if recording.broken is None else self.text(recording.broken),
            extra=json.loads(self.text(json.dumps(recording.extra))) if recording.extra else {},
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
    def _compiled_patterns(self) -> list[re.Pattern[str]]:
        compiled = []
        for pattern in self._patterns:
            try:
                compiled.append(re.compile(pattern))
            except re.error as error:
                message = f"redaction pattern {pattern!r} is not a regular expression: {error}"
                raise UsageError(message) from error
        return compiled

    def _headers(self, headers: Headers, allowed: frozenset[str]) -> Headers:
        return {
            name.lower(): list(map(self.text, values))
            for name, values in headers.items()
            if name.lower() in allowed
        }

    def _body(self, body: str | bytes) -> str | bytes:
        if isinstance(body, bytes):
            return to_bytes(self.text(to_text(body)))
        text = body
        # A model that repeats a key in a stream splits it over events: a reader who joins the
        # strings of one field would have it.
        if "data:" in text:
            for secret in self._secrets:
                while (joined := _without_split_secret(text, secret)) is not None:
                    text = joined
        text = self.text(_SIGNING_SECRET.sub(TOKEN, text))
        if self._patterns and is_json(body) and not is_json(text):
            patterns = ", ".join(map(repr, self._patterns))
            raise UsageError(
                f"a redaction pattern ({patterns}) breaks a JSON body; "
                "it must match inside one string"
            )
        return text


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


def _without_split_secret(body: str, secret: str) -> str | None:
    """Return a body without one secret that is split over the strings of a field, or None."""
    fields: dict[str, list[re.Match[str]]] = {}
    for match in _STRING_FIELD.finditer(body):
        fields.setdefault(match[1], []).append(match)
    for matches in fields.values():
        texts = [_unquote(match[2]) for match in matches]
        at = "".join(texts).find(secret)
        if at < 0:
            continue
        edits = []
        # ``at`` is the start of the secret relative to the current string.
        for match, text in zip(matches, texts, strict=True):
            first, last = max(at, 0), min(at + len(secret), len(text))
            if first < last:
                rest = text[:first] + (TOKEN if at >= 0 else "") + text[last:]
                edits.append((match, json.dumps(rest, ensure_ascii=False)[1:-1]))
            at -= len(text)
        for match, rest in reversed(edits):
            body = body[: match.start(2)] + rest + body[match.end(2) :]
        return body
    return None


def _unquote(inner: str) -> str:
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        return inner
