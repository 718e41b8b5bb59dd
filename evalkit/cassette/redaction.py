"""Redaction: secrets never reach the disk. Pure.

There are four layers. Headers are written by an allow-list, so an unknown header is left out.
Values of secret fields are replaced by their position. Known secrets (the live key) are replaced
wherever a reader would find them: in every encoding that ``SecretSearch`` undoes, and in every text
that ``TextDocument`` puts together of the pieces of a stream or the parts of an answer. Credentials
of a known format and the matches of configured patterns are replaced inside strings, never across
the structure of JSON. Finally ``guard`` searches the text that is about to be written; it finds a
secret where nothing redacts, such as in metadata.

A secret that anybody may write by chance is not replaced in texts, because that would change
ordinary words of the conversation: one under 16 characters, or a word (``anything``). It is only
kept out of headers, URLs and secret fields. Outgoing requests are redacted in the same way before
they are matched, so a redacted recording can be replayed.
"""

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.exact_json import read_exact, write_exact
from evalkit._lib.json import JSON
from evalkit._lib.patterns import Pattern, PatternError, compile_pattern
from evalkit.cassette.bodies import to_bytes, to_text
from evalkit.cassette.content_codings import CompressedBody, compressed_body
from evalkit.cassette.headers import (
    REQUEST_HEADERS,
    body_headers,
    is_recorded,
    redact_header,
    redact_parameters,
)
from evalkit.cassette.recording import Headers, Recording
from evalkit.cassette.secret_fields import redact_recording, secrets_in_recording
from evalkit.cassette.secret_formats import credentials, has_credential
from evalkit.cassette.secret_names import TOKEN, looks_random
from evalkit.cassette.secret_search import SEPARATOR, Match, SecretSearch
from evalkit.cassette.text_document import Edit, TextDocument, apply, joined_readings
from evalkit.errors import SecretLeak, UsageError

SHORTEST = 16
"""Characters of a secret that is replaced in texts."""

_PARAMETER = re.compile(r"([?&#])([^=&#]+)=([^&#]*)")
_SEGMENT = re.compile(r"(?<=/)[^/?#]+")
_USER_INFO = re.compile(r"(?<=://)[^/?#@]*@")
_HEADER_WORD = re.compile(r"""[^\s=,;:"'<>]+""")
# A random key of this form is rarer than one in a billion.
_WORD = re.compile(r"[A-Z]?[a-z]{1,23}|[A-Z]{1,24}")
_MAX_PASSES = 3
# Shorter numbers are counts and indexes, longer ones may be those of an account.
_ACCOUNT_DIGITS = 8

_SHORTEST_VALUE = 8


class SecretValue(str):
    """A secret that nobody chose as a key: replaced in texts from eight characters on."""

    __slots__ = ()


Find = Callable[[str], Sequence[tuple[int, int]]]
"""Returns what is to be replaced in a text."""


class _Finder(NamedTuple):
    """A function that finds what to replace in a text; ``reads_json``: in the text of JSON, too."""

    find: Find
    reads_json: bool = False


class Redactor:
    """Redacts known secrets, known formats and configured patterns (regular expressions).

    ``active`` is False without secrets and patterns; then only known formats are replaced. An
    invalid pattern raises UsageError when it is first used.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Sequence[str] = ()) -> None:
        stripped = dict.fromkeys(map(_stripped, secrets))
        self._secrets = tuple(filter(None, stripped))
        self._patterns = tuple(patterns)
        replaceable = [secret for secret in self._secrets if is_replaceable(secret)]
        self._search = SecretSearch(replaceable) if replaceable else None
        self._words = frozenset(self._secrets) - frozenset(replaceable) - {TOKEN}
        self.active = bool(replaceable or self._patterns)

    def with_secrets(self, secrets: Iterable[str]) -> "Redactor":
        """Return a redactor that knows further secrets, which are replaced in texts."""
        stripped = dict.fromkeys(map(_stripped, secrets))
        new = [each for each in stripped if each not in self._secrets and is_replaceable(each)]
        return Redactor([*self._secrets, *new], self._patterns) if new else self

    def with_secrets_in(self, recording: Recording) -> "Redactor":
        """Return a redactor that also knows the secrets in the fields of a recording."""
        return self.with_secrets(secrets_in_recording(recording))

    def text(self, text: str) -> str:
        """Return a text, which may be a document, without secrets and matches of patterns.

        A text from which the secrets cannot be removed is replaced as a whole.
        """
        if not self._patterns and not has_credential(text) and not self._has_secret(text):
            return text
        clean = self._document(text)
        return TOKEN if clean is None else clean

    def document(self, text: str) -> str:
        """Do the same, and find known formats also in pieces that add up to them."""
        clean = self._document(text)
        return TOKEN if clean is None else clean

    def uri(self, uri: str) -> str:
        """Return a redacted URI without user, password and values of key parameters."""
        uri = redact_parameters(_USER_INFO.sub("", uri))
        if self._words:
            uri = _PARAMETER.sub(self._redact_parameter, uri)
            at = uri.find("/", uri.find("://") + 3) if "://" in uri else 0
            uri = uri[: max(at, 0)] + _SEGMENT.sub(self._redact_segment, uri[max(at, 0) :])
        return self.text(uri)

    def parameter(self, value: str) -> str:
        """Return the value of a query parameter as a redacted URI has it."""
        return TOKEN if value in self._words else self.text(value)

    def recording(self, recording: Recording) -> tuple[Recording, int]:
        """Return a recording as it may be written, and the number of replacements in it.

        Raises SecretLeak if a secret cannot be removed.
        """
        clean, found = redact_recording(recording)
        if found:
            redacted = self.with_secrets(filter(looks_random, found)).recording(clean)[0]
            return redacted, max(0, repr(redacted).count(TOKEN) - repr(recording).count(TOKEN))
        body, headers = self._response_body(recording)
        request_body = recording.request_body
        redacted = replace(
            recording,
            uri=self.uri(recording.uri),
            request_body=request_body
            and self._opened(request_body, recording.request_headers, recording)[0],
            request_headers=self._headers(recording.request_headers, REQUEST_HEADERS.__contains__),
            reason=self.text(recording.reason),
            response_headers=self._headers(headers, is_recorded),
            body=body,
            broken=None if recording.broken is None else self.text(recording.broken),
            extra=self._extra(recording.extra),
        )
        return redacted, max(0, repr(redacted).count(TOKEN) - repr(recording).count(TOKEN))

    def guard(self, content: str | bytes, where: str) -> None:
        """Raise SecretLeak if content that is about to be written has a known secret."""
        if self.finds(to_text(content)):
            raise SecretLeak(
                f"{where}: a known secret (the API key) was about to be written; "
                "nothing was written"
            )

    def finds(self, text: str) -> bool:
        """Return whether a text has a known secret that is replaced in texts."""
        return self._search is not None and self._search.has_secret(text)

    @property
    def has_weak_secrets(self) -> bool:
        """Whether it knows secrets that are not replaced in texts."""
        return bool(self._words)

    def matching_pattern(self, text: str) -> str | None:
        """Return the first configured pattern that matches in a text, None if none does."""
        document = TextDocument(text)
        for pattern, finder in zip(self._patterns, self._finders[1:], strict=True):
            if _edits(document, finder):
                return pattern
        return None

    def _document(self, text: str) -> str | None:
        """Return a document without secrets; None if they cannot be removed."""
        document = TextDocument(text)
        for _ in range(_MAX_PASSES):
            if not self._remove_secrets(document):
                break
            document = document.rendered()
        else:
            if self._has_secret(document.source):
                return None
        for finder in self._finders:
            streams = list(document.streams())
            for pieces in streams:
                joined = TextDocument(document.join(pieces))
                document.edit(pieces, _edits(joined, finder))
            document = document.rendered()
            done = {number for pieces in streams for number in pieces}
            if edits := _edits(document, finder, done):
                document = TextDocument(apply(document.source, edits))
        return document.source

    def _remove_secrets(self, document: TextDocument) -> bool:
        """Remove known secrets from all texts of a document; return whether it had any."""
        if self._search is None or not self._has_secret(document.source):
            return False
        readings = list(document.readings())
        for reading in ([[number] for number in range(len(document.leaves))]) + readings:
            text = document.join(reading)
            document.edit(
                reading,
                [Edit(one.start, one.end, _filler(one)) for one in self._search.find(text)],
            )
        return True

    def _has_secret(self, text: str) -> bool:
        # Nearly every document has none, and one search over everything is the fastest.
        return self._search is not None and self._search.has_secret(
            SEPARATOR.join((text, *joined_readings(text)))
        )

    @cached_property
    def _finders(self) -> list["_Finder"]:
        finders = [_Finder(credentials)]
        for pattern in self._patterns:
            try:
                finders.append(_Finder(_spans(compile_pattern(pattern)), reads_json='"' in pattern))
            except PatternError as error:
                message = f"redaction pattern {pattern!r} is not a regular expression: {error}"
                raise UsageError(message) from error
        return finders

    def _headers(self, headers: Headers, is_allowed: Callable[[str], bool]) -> Headers:
        return {
            name.lower(): [self.header(name, value) for value in values]
            for name, values in headers.items()
            if is_allowed(name.lower())
        }

    def header(self, name: str, value: str) -> str:
        """Return the value of a header without secrets."""
        value = redact_header(name.lower(), value)
        if self._words:
            value = _HEADER_WORD.sub(lambda word: self.parameter(word[0]), value)
        return self.text(value)

    def _response_body(self, recording: Recording) -> tuple[str | bytes, Headers]:
        """Return the body of a response, and headers that fit it."""
        clean, opened = self._opened(recording.body, recording.response_headers, recording)
        headers = recording.response_headers
        return clean, body_headers(recording.method, headers) if opened else headers

    def _opened(
        self, body: str | bytes, headers: Headers, recording: Recording
    ) -> tuple[str | bytes, bool]:
        """Return a body without secrets, and whether it was decompressed for that."""
        try:
            opened = compressed_body(body, headers)
        except ValueError as error:
            if self._search is not None:
                raise SecretLeak(
                    f"{recording.method} {self.uri(recording.uri)}: the body cannot be searched"
                    f" for a known secret ({error}); nothing was written"
                ) from error
            opened = CompressedBody(body)
        clean = self._body(opened.plain, recording)
        if opened.plain is body:
            return clean, False
        if clean != opened.plain:
            return opened.compressed(clean), True
        # Compressed bytes without a secret are stored as they were received.
        return self._body(body, recording), False

    def _body(self, body: str | bytes, recording: Recording) -> str | bytes:
        clean = self._document(to_text(body))
        if clean is None:
            raise SecretLeak(
                f"{recording.method} {self.uri(recording.uri)}: a known secret (the API key) is in "
                "this exchange in a form that cannot be replaced; nothing was written"
            )
        return clean if isinstance(body, str) else to_bytes(clean)

    def _extra(self, extra: dict[str, JSON]) -> dict[str, JSON]:
        return read_exact(self.document(write_exact(extra))) if extra else {}

    def _redact_parameter(self, match: re.Match[str]) -> str:
        is_word = unquote(match[3]) in self._words
        return f"{match[1]}{match[2]}={TOKEN}" if is_word else match[0]

    def _redact_segment(self, match: re.Match[str]) -> str:
        # A word may be the name of a resource.
        segment = unquote(match[0])
        return TOKEN if segment in self._words and not _WORD.fullmatch(segment) else match[0]


def is_replaceable(secret: str) -> bool:
    """Return whether a secret is replaced in texts: nobody would write it by chance."""
    shortest = _SHORTEST_VALUE if isinstance(secret, SecretValue) else SHORTEST
    return len(secret) >= shortest and not _WORD.fullmatch(secret) and secret not in TOKEN


def _stripped(secret: str) -> str:
    return type(secret)(secret.strip())


def _spans(pattern: Pattern) -> Find:
    return lambda text: [
        (match.start(), match.end()) for match in pattern.finditer(text) if match.group()
    ]


def _edits(document: TextDocument, finder: _Finder, done: Container[int] = ()) -> list[Edit]:
    """Return the edits that remove what is found from a document, but for strings already done.

    Searched are the values of strings, also of a document inside a string, names that are not
    identifiers, and long whole numbers. A pattern with a quote is about the text of JSON; it
    removes the strings and numbers that its matches touch.
    """
    if document.is_plain:
        return [Edit(*span, TOKEN) for span in finder.find(document.source)]
    touched = finder.find(document.source) if finder.reads_json else ()
    edits = []
    for number, leaf in enumerate(document.leaves):
        if number in done or (leaf.kind == "name" and leaf.text.isidentifier()):
            continue
        text = leaf.text
        if leaf.kind != "name" and any(
            start < leaf.end and leaf.start < end for start, end in touched
        ):
            clean = TOKEN
        elif leaf.kind == "number":
            is_account = len(text.lstrip("-")) >= _ACCOUNT_DIGITS and text.lstrip("-").isdigit()
            clean = TOKEN if is_account and (0, len(text)) in finder.find(text) else text
        else:
            clean = apply(text, _edits(TextDocument(text), finder))
        if clean != text:
            edits.append(Edit(leaf.start, leaf.end, leaf.render(document.source, clean)))
    return edits


def _filler(match: Match) -> str:
    """Return what replaces a secret: of the same length where it is a part of encoded text."""
    if not match.coding:
        return TOKEN
    filler = TOKEN if match.coding == "base64" else TOKEN.encode().hex()
    length = match.end - match.start
    return (filler * (length // len(filler) + 1))[:length]
